package org.headrace.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.client.program.rest.RestClusterClient;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.runtime.clusterframework.ApplicationStatus;
import org.apache.flink.runtime.highavailability.JobResultStoreOptions;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.util.ExceptionUtils;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;

import org.slf4j.Logger;

import java.io.IOException;
import java.lang.reflect.Method;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.regex.Pattern;

/**
 * Submits a job graph to the JobManager that it is in, waits for the job's end, and ends the cluster
 * with it.
 *
 * <p>A JobManager that comes back has the job from the one before, which refuses to take it twice.
 */
final class JobGraphRun implements ClusterEnds {

    /** Since 2.3 it is the application of the job that is known. */
    private static final Pattern DUPLICATE =
            Pattern.compile("Duplicate(Job|Application)SubmissionException");

    private final Logger log;
    private final Configuration configuration;
    private final JobGraph graph;
    private final CompletableFuture<String> web = new CompletableFuture<>();
    private volatile ApplicationStatus ended;

    JobGraphRun(Logger log, Configuration configuration, JobGraph graph) {
        this.log = log;
        this.configuration = configuration;
        this.graph = graph;
    }

    void start() {
        Thread thread = new Thread(this::run, "headrace-job-graph");
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void leads(String url) {
        web.complete(url);
    }

    /** A session always ends well; its only job may not have. */
    @Override
    public ApplicationStatus status(ApplicationStatus said) {
        return ended == null ? said : ended;
    }

    private void run() {
        try (RestClusterClient<String> client =
                new RestClusterClient<>(reaching(URI.create(web.get())), "headrace")) {
            ended = follow(client);
            log.info("Job {} has ended: {}.", graph.getJobID(), ended);
            client.shutDownCluster();
        } catch (Exception e) {
            // Nobody else would end this cluster, and the next JobManager goes on with the job.
            log.error("The job graph could not be run.", e);
            System.err.println(JobMistake.line(PlannerMessage.of(e)));
            System.exit(1);
        }
    }

    private ApplicationStatus follow(RestClusterClient<String> client) throws Exception {
        JobID job = graph.getJobID();
        try {
            submit(client);
        } catch (ExecutionException e) {
            if (!DUPLICATE.matcher(ExceptionUtils.stringifyException(e)).find()) {
                throw e;
            }
            log.info("Job {} is known from an earlier JobManager.", job);
            JsonNode result = earlierResult(job);
            if (result != null) {
                return ApplicationStatus.valueOf(status(result));
            }
        }
        client.requestJobResult(job).get();
        return ApplicationStatus.fromJobStatus(client.getJobStatus(job).get());
    }

    /** Flink 1 takes a JobGraph, Flink 2 an ExecutionPlan, which a JobGraph is there. */
    private void submit(RestClusterClient<String> client) throws Exception {
        for (Method method : RestClusterClient.class.getMethods()) {
            if (method.getName().equals("submitJob") && !method.isBridge()) {
                ((CompletableFuture<?>) method.invoke(client, graph)).get();
                return;
            }
        }
        throw new NoSuchMethodException("submitJob");
    }

    /** What is noted of a job that had ended before this JobManager started; null if it had not. */
    private JsonNode earlierResult(JobID job) throws IOException {
        String storage = configuration.get(JobResultStoreOptions.STORAGE_PATH);
        if (storage == null) {
            return null;
        }
        String directory = new org.apache.flink.core.fs.Path(storage).getPath();
        for (String name : new String[] {job + ".json", job + "_DIRTY.json"}) {
            Path file = Path.of(directory, name);
            if (Files.exists(file)) {
                return new ObjectMapper().readTree(file.toFile()).path("result");
            }
        }
        return null;
    }

    /** Since 2.3 a result says the job's state, before it said the application's. */
    private static String status(JsonNode result) {
        String state = result.path("job-status").asText("");
        return state.isEmpty()
                ? result.path("application-status").asText("UNKNOWN")
                : ApplicationStatus.fromJobStatus(JobStatus.valueOf(state)).name();
    }

    /** Our own REST, by its address and not by looking for a leader. */
    private Configuration reaching(URI url) {
        Configuration own = new Configuration(configuration);
        own.set(HighAvailabilityOptions.HA_MODE, "NONE");
        own.set(RestOptions.ADDRESS, url.getHost());
        own.set(RestOptions.PORT, url.getPort());
        return own;
    }
}
