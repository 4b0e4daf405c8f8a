package org.headrace.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.entrypoint.ClusterEntrypoint;
import org.apache.flink.runtime.entrypoint.ClusterEntrypointException;
import org.apache.flink.runtime.entrypoint.SessionClusterEntrypoint;
import org.apache.flink.runtime.entrypoint.component.DefaultDispatcherResourceManagerComponentFactory;
import org.apache.flink.runtime.entrypoint.component.DispatcherResourceManagerComponentFactory;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.runtime.util.JvmShutdownSafeguard;
import org.apache.flink.runtime.util.SignalHandler;

/** A JobManager for one job graph in Flink 2: a session that runs it and ends with it. */
@SuppressWarnings("try") // Flink's close() may throw InterruptedException.
final class JobGraphSession extends SessionClusterEntrypoint {

    private final JobGraphRun run;

    private JobGraphSession(Configuration configuration, JobGraphRun run) {
        super(configuration);
        this.run = run;
    }

    static void main(String[] args) throws Exception {
        EnvironmentInformation.logEnvironmentInfo(LOG, "HeadraceJobGraph", args);
        SignalHandler.register(LOG);
        JvmShutdownSafeguard.installAsShutdownHook(LOG);
        Configuration configuration = loadConfiguration(parseArguments(args));
        try {
            JobGraphRun run =
                    new JobGraphRun(
                            LOG, configuration, new JobGraphFile(configuration).withJars(configuration));
            ClusterEntrypoint.runClusterEntrypoint(new JobGraphSession(configuration, run));
        } catch (JobMistake e) {
            LOG.error("There is no job to run.", e);
            e.exit();
        }
    }

    @Override
    public void startCluster() throws ClusterEntrypointException {
        super.startCluster();
        run.start();
    }

    @Override
    protected DispatcherResourceManagerComponentFactory
            createDispatcherResourceManagerComponentFactory(Configuration configuration) {
        return DefaultDispatcherResourceManagerComponentFactory.createSessionComponentFactory(
                new HeadraceResourceManagerFactory(run));
    }

    /** A free port by default, so that several JobManagers can live on one host. */
    @Override
    protected String getRPCPortRange(Configuration configuration) {
        return configuration.get(HeadraceOptions.RPC_PORTS);
    }
}
