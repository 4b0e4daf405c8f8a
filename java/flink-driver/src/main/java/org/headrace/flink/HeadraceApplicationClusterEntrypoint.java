package org.headrace.flink;

import org.apache.flink.client.deployment.application.ApplicationClusterEntryPoint;
import org.apache.flink.client.program.PackagedProgram;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.runtime.entrypoint.ClusterEntrypoint;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.runtime.util.JvmShutdownSafeguard;
import org.apache.flink.runtime.util.SignalHandler;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The main class of a JobManager for one job, which a program builds: it runs the program's main
 * method and ends with the job.
 */
@SuppressWarnings("try") // Flink's close() may throw InterruptedException.
public final class HeadraceApplicationClusterEntrypoint extends ApplicationClusterEntryPoint {

    private HeadraceApplicationClusterEntrypoint(
            Configuration configuration, PackagedProgram program) {
        super(configuration, program, new HeadraceResourceManagerFactory());
    }

    public static void main(String[] args) throws Exception {
        EnvironmentInformation.logEnvironmentInfo(LOG, "HeadraceApplication", args);
        SignalHandler.register(LOG);
        JvmShutdownSafeguard.installAsShutdownHook(LOG);
        Configuration configuration = loadConfiguration(parseArguments(args));
        try {
            PackagedProgram program = JobProgram.of(configuration);
            configureExecution(configuration, program);
            ship(configuration, JobProgram.userLibraries());
            ClusterEntrypoint.runClusterEntrypoint(
                    new HeadraceApplicationClusterEntrypoint(configuration, program));
        } catch (JobMistake e) {
            LOG.error("There is no job to run.", e);
            e.exit();
        }
    }

    /** A free port by default, so that several JobManagers can live on one host. */
    @Override
    protected String getRPCPortRange(Configuration configuration) {
        return configuration.get(HeadraceOptions.RPC_PORTS);
    }

    /** TaskManagers get these from the JobManager, wherever they run. */
    private static void ship(Configuration configuration, List<Path> jars) throws Exception {
        List<String> all = new ArrayList<>(configuration.get(PipelineOptions.JARS));
        JobProgram.urls(jars).forEach(url -> all.add(url.toString()));
        configuration.set(PipelineOptions.JARS, all);
    }
}
