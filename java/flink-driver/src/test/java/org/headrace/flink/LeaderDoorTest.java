package org.headrace.flink;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** What a listening socket and its clients may do wrong, and that others are taken in after it. */
public final class LeaderDoorTest {

    private static final Logger LOG = LoggerFactory.getLogger(LeaderDoorTest.class);
    private static final int TRIES = 5;

    private LeaderDoorTest() {}

    /** Answers with one step after the other, and is closed after the last. */
    private static final class Steps implements LeaderDoor.Listening {
        final List<Object> left = new ArrayList<>();
        final List<SocketChannel> welcomed = new ArrayList<>();
        final List<Throwable> fatal = new ArrayList<>();

        Steps then(Object step, int times) {
            for (int i = 0; i < times; i++) {
                left.add(step);
            }
            return this;
        }

        void run() {
            new LeaderDoor(LOG, this, welcomed::add, fatal::add, TRIES, Duration.ofMillis(1)).run();
        }

        @Override
        public SocketChannel accept() throws IOException {
            Object step = left.remove(0);
            if (step instanceof IOException) {
                throw (IOException) step;
            }
            if (step instanceof Error) {
                throw (Error) step;
            }
            return (SocketChannel) step;
        }

        @Override
        public boolean isOpen() {
            return !left.isEmpty();
        }
    }

    public static void main(String[] args) throws Exception {
        SocketChannel gone = SocketChannel.open();
        gone.close();
        try (SocketChannel client = SocketChannel.open()) {
            IOException full = new IOException("Too many open files");

            Steps waited = new Steps();
            waited.then(full, TRIES - 1).then(client, 1).then(full, TRIES - 1).then(client, 1);
            waited.run();
            equal(List.of(client, client), waited.welcomed);
            equal(List.of(), waited.fatal);

            Steps brokenOff = new Steps().then(gone, 1).then(client, 1);
            brokenOff.run();
            equal(List.of(client), brokenOff.welcomed);
            equal(List.of(), brokenOff.fatal);

            Steps lasting = new Steps().then(full, TRIES).then(client, 1);
            lasting.run();
            equal(List.of(), lasting.welcomed);
            equal(full, lasting.fatal.get(0).getCause());

            Error unexpected = new OutOfMemoryError("not really");
            Steps broken = new Steps().then(unexpected, 1).then(client, 1);
            broken.run();
            equal(List.of(unexpected), broken.fatal);
        }
    }

    private static void equal(Object expected, Object actual) {
        if (!expected.equals(actual)) {
            throw new AssertionError("expected " + expected + ", got " + actual);
        }
    }
}
