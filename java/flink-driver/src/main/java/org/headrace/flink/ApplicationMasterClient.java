package org.headrace.flink;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonProcessingException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.Proxy;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Calls the application master: JSON over HTTP/1.1, one attempt per call.
 *
 * <p>Every method blocks; one that was interrupted meanwhile says so at its end. Retrying is the
 * caller's business. This is not java.net.http: that takes up to half a second of the start, most of
 * it for TLS, which is not spoken here.
 */
final class ApplicationMasterClient {

    /** What a call may take, to connect and to be answered, unless less is given. */
    static final Duration CALL_LIMIT = Duration.ofSeconds(10);

    private static final Duration CONNECT_LIMIT = Duration.ofSeconds(3);
    /** The application master answers a poll within 25 s. */
    private static final Duration POLL_LIMIT = Duration.ofSeconds(40);

    private final String base;
    private final Path tokenFile;
    private final ObjectMapper json = new ObjectMapper();

    ApplicationMasterClient(String url, Path tokenFile) {
        this.base = url.endsWith("/") ? url.substring(0, url.length() - 1) : url;
        this.tokenFile = tokenFile;
    }

    Attachment attach(String attempt, String web, String rpc, Duration limit)
            throws IOException, InterruptedException {
        ObjectNode body = json.createObjectNode();
        body.put("attempt", attempt).put("web", web).put("rpc", rpc);
        JsonNode answer = post("/attach", body, limit);
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
        post("/request", body, CALL_LIMIT);
    }

    void release(String id) throws IOException, InterruptedException {
        post("/release", json.createObjectNode().put("id", id), CALL_LIMIT);
    }

    void deregister(String status, String diagnostics, Duration limit)
            throws IOException, InterruptedException {
        post(
                "/deregister",
                json.createObjectNode().put("status", status).put("diagnostics", diagnostics),
                limit);
    }

    /** Waits for events after the given sequence. */
    EventBatch events(long after) throws IOException, InterruptedException {
        JsonNode answer = call("/events?after=" + after, null, POLL_LIMIT);
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

    private JsonNode post(String path, ObjectNode body, Duration limit)
            throws IOException, InterruptedException {
        return call(path, body, limit.compareTo(CALL_LIMIT) < 0 ? limit : CALL_LIMIT);
    }

    private JsonNode call(String path, ObjectNode body, Duration limit)
            throws IOException, InterruptedException {
        throwIfInterrupted();
        HttpURLConnection connection =
                (HttpURLConnection) URI.create(base + path).toURL().openConnection(Proxy.NO_PROXY);
        // Both together are the limit; 0 would be none.
        long connect = Math.max(1, Math.min(CONNECT_LIMIT.toMillis(), limit.toMillis() / 4));
        connection.setConnectTimeout((int) connect);
        connection.setReadTimeout((int) Math.max(1, limit.toMillis() - connect));
        // The token is read for every call, so that it can be changed while the JobManager runs.
        connection.setRequestProperty(
                "Authorization", "Bearer " + Files.readString(tokenFile).trim());
        if (body != null) {
            send(connection, body.toString().getBytes(StandardCharsets.UTF_8));
        }
        int status = connection.getResponseCode();
        String text = text(connection, status);
        throwIfInterrupted();
        if (status / 100 != 2) {
            throw new ApplicationMasterException(status, message(status, text));
        }
        return text.isEmpty() ? json.nullNode() : json.readTree(text);
    }

    private static void send(HttpURLConnection connection, byte[] content) throws IOException {
        connection.setDoOutput(true);
        connection.setRequestProperty("Content-Type", "application/json");
        connection.setFixedLengthStreamingMode(content.length);
        try (OutputStream out = connection.getOutputStream()) {
            out.write(content);
        }
    }

    private static String text(HttpURLConnection connection, int status) throws IOException {
        try (InputStream in =
                status / 100 == 2 ? connection.getInputStream() : connection.getErrorStream()) {
            return in == null ? "" : new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static void throwIfInterrupted() throws InterruptedException {
        if (Thread.interrupted()) {
            throw new InterruptedException();
        }
    }

    private String message(int status, String text) {
        String prefix = "the application master answered " + status;
        try {
            String message = json.readTree(text).path("message").asText("");
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
