package org.headrace.flink;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonProcessingException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Calls the application master: JSON over HTTP/1.1, one attempt per call.
 *
 * <p>Every method blocks and may be interrupted; retrying is the caller's business.
 */
final class ApplicationMasterClient {

    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(3);
    private static final Duration CALL_TIMEOUT = Duration.ofSeconds(10);
    /** The application master answers a poll within 25 s. */
    private static final Duration POLL_TIMEOUT = Duration.ofSeconds(40);

    private final String base;
    private final Path tokenFile;
    private final ObjectMapper json = new ObjectMapper();
    private final HttpClient http =
            HttpClient.newBuilder()
                    .version(HttpClient.Version.HTTP_1_1)
                    .proxy(HttpClient.Builder.NO_PROXY)
                    .connectTimeout(CONNECT_TIMEOUT)
                    .build();

    ApplicationMasterClient(String url, Path tokenFile) {
        this.base = url.endsWith("/") ? url.substring(0, url.length() - 1) : url;
        this.tokenFile = tokenFile;
    }

    Attachment attach(String attempt, String web, String rpc)
            throws IOException, InterruptedException {
        ObjectNode body = json.createObjectNode();
        body.put("attempt", attempt).put("web", web).put("rpc", rpc);
        JsonNode answer = post("/attach", body);
        List<String> workers = new ArrayList<>();
        answer.path("workers").forEach(worker -> workers.add(worker.asText()));
        return new Attachment(workers, sequence(answer));
    }

    void request(WorkerRequest request) throws IOException, InterruptedException {
        ObjectNode body = json.createObjectNode();
        body.put("id", request.id)
                .put("cpus", request.cpus)
                .put("memory_mib", request.memoryMib)
                .put("slots", request.slots)
                .put("jvm", request.jvm);
        request.dynamic.forEach(body.putArray("dynamic")::add);
        post("/request", body);
    }

    void release(String id) throws IOException, InterruptedException {
        post("/release", json.createObjectNode().put("id", id));
    }

    void deregister(String status, String diagnostics) throws IOException, InterruptedException {
        post(
                "/deregister",
                json.createObjectNode().put("status", status).put("diagnostics", diagnostics));
    }

    /** Waits for events after the given sequence. */
    EventBatch events(long after) throws IOException, InterruptedException {
        JsonNode answer = call(to("/events?after=" + after).timeout(POLL_TIMEOUT).GET());
        List<WorkerEvent> events = new ArrayList<>();
        for (JsonNode event : answer.path("events")) {
            events.add(
                    new WorkerEvent(
                            sequence(event),
                            type(event.path("type").asText()),
                            event.path("id").asText(),
                            event.path("reason").asText("")));
        }
        return new EventBatch(events, sequence(answer));
    }

    private JsonNode post(String path, ObjectNode body) throws IOException, InterruptedException {
        return call(
                to(path).timeout(CALL_TIMEOUT)
                        .header("Content-Type", "application/json")
                        .POST(HttpRequest.BodyPublishers.ofString(body.toString())));
    }

    private HttpRequest.Builder to(String path) throws IOException {
        // The token is read for every call, so that it can be changed while the JobManager runs.
        String token = Files.readString(tokenFile).trim();
        return HttpRequest.newBuilder(URI.create(base + path))
                .header("Authorization", "Bearer " + token);
    }

    private JsonNode call(HttpRequest.Builder request) throws IOException, InterruptedException {
        HttpResponse<String> response =
                http.send(request.build(), HttpResponse.BodyHandlers.ofString());
        int status = response.statusCode();
        if (status / 100 != 2) {
            throw new ApplicationMasterException(status, message(response));
        }
        return response.body().isEmpty() ? json.nullNode() : json.readTree(response.body());
    }

    private String message(HttpResponse<String> response) {
        String prefix = "the application master answered " + response.statusCode();
        try {
            String message = json.readTree(response.body()).path("message").asText("");
            return message.isEmpty() ? prefix : message;
        } catch (JsonProcessingException e) {
            return prefix;
        }
    }

    private static long sequence(JsonNode node) throws IOException {
        JsonNode sequence = node.path("sequence");
        if (!sequence.isIntegralNumber()) {
            throw new IOException("the application master's answer has no sequence");
        }
        return sequence.asLong();
    }

    private static WorkerEvent.Type type(String name) {
        switch (name.toLowerCase(Locale.ROOT)) {
            case "started":
                return WorkerEvent.Type.STARTED;
            case "terminated":
                return WorkerEvent.Type.TERMINATED;
            default:
                return WorkerEvent.Type.OTHER;
        }
    }
}
