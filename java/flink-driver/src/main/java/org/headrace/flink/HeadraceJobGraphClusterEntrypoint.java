package org.headrace.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.entrypoint.ClusterEntrypoint;
import org.apache.flink.runtime.entrypoint.JobClusterEntrypoint;
import org.apache.flink.runtime.entrypoint.component.DefaultDispatcherResourceManagerComponentFactory;
import org.apache.flink.runtime.entrypoint.component.DispatcherResourceManagerComponentFactory;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.runtime.util.JvmShutdownSafeguard;
import org.apache.flink.runtime.util.SignalHandler;

/**
 * The main class of a JobManager for one job, whose graph is in a file; it ends with the job.
 *
 * <p>Flink 1 only: Flink 2 has no job cluster of this kind.
 */
@SuppressWarnings({"try", "deprecation"}) // close() may throw InterruptedException.
public final class HeadraceJobGraphClusterEntrypoint extends JobClusterEntrypoint {

    private HeadraceJobGraphClusterEntrypoint(Configuration configuration) {
        super(configuration);
    }

    public static void main(String[] args) throws Exception {
        EnvironmentInformation.logEnvironmentInfo(LOG, "HeadraceJobGraph", args);
        SignalHandler.register(LOG);
        JvmShutdownSafeguard.installAsShutdownHook(LOG);
        Configuration configuration = loadConfiguration(parseArguments(args));
        try {
            new JobGraphFile(configuration).read();
            ClusterEntrypoint.runClusterEntrypoint(
                    new HeadraceJobGraphClusterEntrypoint(configuration));
        } catch (JobMistake e) {
            LOG.error("There is no job to run.", e);
            e.exit();
        }
    }

    @Override
    protected DispatcherResourceManagerComponentFactory
            createDispatcherResourceManagerComponentFactory(Configuration configuration) {
        return DefaultDispatcherResourceManagerComponentFactory.createJobComponentFactory(
                new HeadraceResourceManagerFactory(), new JobGraphFile(configuration));
    }

    /** A free port by default, so that several JobManagers can live on one host. */
    @Override
    protected String getRPCPortRange(Configuration configuration) {
        return configuration.get(HeadraceOptions.RPC_PORTS);
    }
}
