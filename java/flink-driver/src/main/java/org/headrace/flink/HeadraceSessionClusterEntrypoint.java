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

/** The main class of a JobManager that gets its TaskManagers from the application master. */
@SuppressWarnings("try") // Flink's close() may throw InterruptedException.
public final class HeadraceSessionClusterEntrypoint extends SessionClusterEntrypoint {

    private final Configuration configuration;

    private HeadraceSessionClusterEntrypoint(Configuration configuration) {
        super(configuration);
        this.configuration = configuration;
    }

    public static void main(String[] args) throws Exception {
        EnvironmentInformation.logEnvironmentInfo(LOG, "HeadraceSession", args);
        SignalHandler.register(LOG);
        JvmShutdownSafeguard.installAsShutdownHook(LOG);
        ClusterEntrypoint.runClusterEntrypoint(
                new HeadraceSessionClusterEntrypoint(loadConfiguration(parseArguments(args))));
    }

    @Override
    public void startCluster() throws ClusterEntrypointException {
        super.startCluster();
        if (configuration.get(HeadraceOptions.SQL_WARM_UP)) {
            PlannerWarmUp.start(LOG);
        }
    }

    @Override
    protected DispatcherResourceManagerComponentFactory
            createDispatcherResourceManagerComponentFactory(Configuration configuration) {
        return DefaultDispatcherResourceManagerComponentFactory.createSessionComponentFactory(
                new HeadraceResourceManagerFactory());
    }

    /** A free port by default, so that several JobManagers can live on one host. */
    @Override
    protected String getRPCPortRange(Configuration configuration) {
        return configuration.get(HeadraceOptions.RPC_PORTS);
    }
}
