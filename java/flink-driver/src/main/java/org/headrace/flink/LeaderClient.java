package org.headrace.flink;

import org.apache.flink.runtime.leaderelection.LeaderInformation;

import org.slf4j.Logger;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * A TaskManager's connection to the JobManager that tells it of leaders.
 *
 * <p>A lost connection alone changes nothing: the leaders stay those that were told last, until a
 * JobManager says otherwise. It is sought where the last one was, and where the file in the high
 * availability directory says, if this machine has that.
 */
final class LeaderClient implements AutoCloseable {

    private static final int CONNECT_TIMEOUT_MS = 2_000;
    private static final int READ_TIMEOUT_MS = (int) LeaderServer.ALIVE_EVERY.toMillis() * 4;

    private final Logger log;
    private final LeaderBook book;
    private final Path file;
    private final Thread thread = new Thread(this::run, "headrace-leaders-follow");
    private volatile Socket socket;
    private volatile boolean closed;
    private LeaderContact contact;
    private long generation;
    private int failures;

    /** {@code file} holds the contact too where it can be read. */
    LeaderClient(Logger log, LeaderBook book, LeaderContact contact, Path file) {
        this.log = log;
        this.book = book;
        this.contact = contact;
        this.file = file;
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void close() throws IOException {
        closed = true;
        thread.interrupt();
        Socket open = socket;
        if (open != null) {
            open.close();
        }
    }

    private void run() {
        try {
            while (!closed) {
                try {
                    follow();
                } catch (IOException | IllegalArgumentException e) {
                    if (failures == 0 && !closed) {
                        log.warn("Leaders are no longer told by {}: {}", contact.address, e.toString());
                    }
                }
                Thread.sleep(Math.min(1_000, Outbox.retryDelay(failures++)));
                readFile();
            }
        } catch (InterruptedException e) {
            log.debug("No longer following leaders.");
        }
    }

    private void follow() throws IOException {
        try (Socket open = new Socket()) {
            socket = open;
            open.connect(
                    new InetSocketAddress(contact.host(), contact.port()), CONNECT_TIMEOUT_MS);
            open.setSoTimeout(READ_TIMEOUT_MS);
            BufferedReader lines =
                    new BufferedReader(
                            new InputStreamReader(open.getInputStream(), StandardCharsets.UTF_8));
            Map<String, LeaderInformation> all = null;
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                if (LeaderLine.isAll(line)) {
                    checkGeneration(LeaderLine.generation(line, contact.cluster));
                    all = new HashMap<>();
                } else if (line.equals(LeaderLine.END)) {
                    log.info("Leaders according to {}: {}", contact.address, all);
                    failures = 0;
                    book.setAll(all);
                    all = null;
                } else if (!line.equals(LeaderLine.ALIVE)) {
                    LeaderLine one = LeaderLine.parse(line);
                    if (all == null) {
                        book.set(one.component, one.leader);
                    } else {
                        all.put(one.component, one.leader);
                    }
                }
            }
            throw new IOException("it has closed the connection");
        }
    }

    /** A JobManager that has been replaced, but does not know it yet, is not listened to. */
    private void checkGeneration(long told) throws IOException {
        if (told < generation) {
            throw new IOException("that JobManager has been replaced");
        }
        generation = told;
    }

    private void readFile() {
        try {
            LeaderContact now = LeaderContact.parse(Files.readString(file));
            if (now.cluster.equals(contact.cluster)) {
                contact = now;
            }
        } catch (IOException | IllegalArgumentException e) {
            log.debug("{} is not to be read here: {}", file, e.toString());
        }
    }
}
