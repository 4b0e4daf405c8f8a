package org.headrace.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.entrypoint.ClusterEntrypoint;
import org.apache.flink.runtime.entrypoint.JobClusterEntrypoint;
import org.apache.flink.runtime.entrypoint.component.DefaultDispatcherResourceManagerComponentFactory;
import org.apache.flink.runtime.entrypoint.component.DispatcherResourceManagerComponentFactory;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.runtime.util.JvmShutdownSafeguard;
import org.apache.flink.runtime.util.SignalHandler;

/** A JobManager for one job graph in Flink 1: it ends with the job. */
@SuppressWarnings({"try", "deprecation"}) // close() may throw InterruptedException.
final class JobGraphCluster extends JobClusterEntrypoint {

    private JobGraphCluster(Configuration configuration) {
        super(configuration);
    }

    static void main(String[] args) throws Exception {
        EnvironmentInformation.logEnvironmentInfo(LOG, "HeadraceJobGraph", args);
        SignalHandler.register(LOG);
        JvmShutdownSafeguard.installAsShutdownHook(LOG);
        Configuration configuration = loadConfiguration(parseArguments(args));
        try {
            new JobGraphFile(configuration).read();
            ClusterEntrypoint.runClusterEntrypoint(
                    new JobGraphCluster(configuration));
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
