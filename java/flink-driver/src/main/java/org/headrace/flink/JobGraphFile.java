package org.headrace.flink;

import org.apache.flink.configuration.BlobServerOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.runtime.blob.BlobClient;
import org.apache.flink.runtime.client.ClientUtils;
import org.apache.flink.runtime.entrypoint.component.FileJobGraphRetriever;
import org.apache.flink.runtime.entrypoint.component.JobGraphRetriever;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.util.FlinkException;

import java.io.IOException;
import java.io.InvalidClassException;
import java.io.ObjectInputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A job graph that somebody wrote to a file with Java's serialization.
 *
 * <p>The jars that it names, those of {@code pipeline.jars} and those in {@code usrlib} go through
 * the blob server, so that TaskManagers need none of them on their class path.
 */
final class JobGraphFile implements JobGraphRetriever {

    private final Path file;

    JobGraphFile(Configuration configuration) {
        file = Path.of(configuration.get(FileJobGraphRetriever.JOB_GRAPH_FILE_PATH));
    }

    /** Reads it, so that a mistake shows before anything is started. */
    JobGraph read() throws JobMistake {
        try (ObjectInputStream stream = new ObjectInputStream(Files.newInputStream(file))) {
            JobGraph graph = (JobGraph) stream.readObject();
            for (org.apache.flink.core.fs.Path jar : graph.getUserJars()) {
                if (!Files.exists(Path.of(jar.getPath()))) {
                    throw new JobMistake(
                            String.format(
                                    "the job graph %s needs the jar %s, which is not there",
                                    file, jar.getPath()),
                            null);
                }
            }
            return graph;
        } catch (NoSuchFileException e) {
            throw new JobMistake("there is no job graph " + file, e);
        } catch (InvalidClassException | ClassNotFoundException | LinkageError e) {
            throw new JobMistake(
                    String.format(
                            "the job graph %s does not fit Flink %s, or a class that it needs is in"
                                    + " no jar here: %s. A job graph can be read only by the version"
                                    + " of Flink that wrote it: write it with this one",
                            file, EnvironmentInformation.getVersion(), e.getMessage()),
                    e);
        } catch (IOException | ClassCastException e) {
            throw new JobMistake(
                    String.format(
                            "%s can't be read as a job graph: %s. It must hold one JobGraph, written"
                                    + " by an ObjectOutputStream",
                            file, e),
                    e);
        }
    }

    /** The graph, which then names the jars of the configuration and of {@code usrlib} as well. */
    JobGraph withJars(Configuration configuration) throws JobMistake, IOException {
        JobGraph graph = read();
        graph.addJars(JobProgram.urls(jars(configuration)));
        return graph;
    }

    /** Flink 1. */
    @Override
    public JobGraph retrieveJobGraph(Configuration configuration) throws FlinkException {
        try {
            JobGraph graph = withJars(configuration);
            String bind = configuration.get(JobManagerOptions.BIND_HOST);
            InetSocketAddress blobs =
                    new InetSocketAddress(
                            bind == null ? configuration.get(JobManagerOptions.ADDRESS) : bind,
                            Integer.parseInt(configuration.get(BlobServerOptions.PORT)));
            ClientUtils.extractAndUploadJobGraphFiles(
                    graph, () -> new BlobClient(blobs, configuration));
            return graph;
        } catch (JobMistake | IOException e) {
            throw new FlinkException(e.getMessage(), e);
        }
    }

    private static List<Path> jars(Configuration configuration) {
        List<Path> jars = new ArrayList<>(JobProgram.userLibraries());
        for (String jar : configuration.getOptional(PipelineOptions.JARS).orElse(List.of())) {
            URI uri = URI.create(jar);
            jars.add(uri.getScheme() == null ? Path.of(jar) : Path.of(uri.getPath()));
        }
        return jars;
    }
}
