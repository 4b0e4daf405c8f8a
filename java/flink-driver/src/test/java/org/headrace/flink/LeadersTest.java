package org.headrace.flink;

import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalListener;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalService;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A JobManager tells a TaskManager of leaders, over a real connection. */
public final class LeadersTest {

    private static final Logger LOG = LoggerFactory.getLogger(LeadersTest.class);
    private static final UUID FIRST = new UUID(1, 1);
    private static final UUID SECOND = new UUID(2, 2);

    private LeadersTest() {}

    /** What a listener has heard. */
    private static final class Heard implements LeaderRetrievalListener {
        final BlockingQueue<String> said = new LinkedBlockingQueue<>();

        @Override
        public void notifyLeaderAddress(String address, UUID session) {
            said.add(address == null ? "nobody" : address + " " + session);
        }

        @Override
        public void handleError(Exception e) {
            said.add(e.toString());
        }

        void next(String expected) throws InterruptedException {
            String actual = said.poll(60, TimeUnit.SECONDS);
            equal(expected, String.valueOf(actual));
        }
    }

    public static void main(String[] args) throws Exception {
        lines();
        contacts();
        theBookTellsWhatItKnowsAndWhatChanges();
        followersFindTheNextJobManager();
        anotherClusterIsNotListenedTo();
    }

    private static void lines() {
        LeaderLine line = LeaderLine.parse(LeaderLine.of("a", known(FIRST, "x:1")).trim());
        equal("a", line.component);
        equal(known(FIRST, "x:1"), line.leader);
        equal(true, LeaderLine.parse("a").leader.isEmpty());
        equal(7L, LeaderLine.generation("all\tc\t7", "c"));
    }

    private static void contacts() {
        LeaderContact contact = LeaderContact.parse("::1:80/id\n");
        equal("::1", contact.host());
        equal(80, contact.port());
        equal("id", contact.cluster);
        for (String bad : new String[] {"", "host", "host/id", ":80/id"}) {
            try {
                LeaderContact.parse(bad);
            } catch (IllegalArgumentException e) {
                continue;
            }
            throw new AssertionError("taken for a contact: " + bad);
        }
    }

    private static void theBookTellsWhatItKnowsAndWhatChanges() throws Exception {
        try (LeaderBook book = new LeaderBook()) {
            book.set("a", known(FIRST, "x"));
            Heard heard = new Heard();
            LeaderRetrievalService service = book.retriever("a");
            service.start(heard);
            heard.next("x " + FIRST);
            book.set("b", known(FIRST, "other"));
            book.set("a", known(FIRST, "x"));
            book.set("a", known(SECOND, "y"));
            heard.next("y " + SECOND);
            book.set("a", LeaderInformation.empty());
            heard.next("nobody");
            service.stop();
            book.set("a", known(FIRST, "x"));
            book.retriever("a").start(heard);
            heard.next("x " + FIRST);
        }
    }

    private static void followersFindTheNextJobManager() throws Exception {
        Path root = Files.createTempDirectory("leaders");
        Heard heard = new Heard();
        LeaderClient client;
        int port;
        try (LeaderBook following = new LeaderBook()) {
            following.retriever("a").start(heard);
            try (HaDirectory directory = HaDirectory.open(root, LOG);
                    LeaderBook book = new LeaderBook();
                    LeaderServer server = serve(book, directory, 0)) {
                port = server.port();
                client = follow(following, port, directory.identity());
                book.set("a", known(FIRST, "x"));
                heard.next("x " + FIRST);
            }
            try (HaDirectory directory = HaDirectory.open(root, LOG);
                    LeaderBook book = new LeaderBook();
                    LeaderServer server = serve(book, directory, port)) {
                equal(port, server.port());
                heard.next("nobody");
                book.set("a", known(SECOND, "y"));
                heard.next("y " + SECOND);
            }
            client.close();
        }
        remove(root);
    }

    private static void anotherClusterIsNotListenedTo() throws Exception {
        Path root = Files.createTempDirectory("leaders");
        Heard heard = new Heard();
        try (HaDirectory directory = HaDirectory.open(root, LOG);
                LeaderBook book = new LeaderBook();
                LeaderBook following = new LeaderBook();
                LeaderServer server = serve(book, directory, 0)) {
            book.set("a", known(FIRST, "x"));
            following.retriever("a").start(heard);
            LeaderClient client = follow(following, server.port(), "another");
            equal("null", String.valueOf(heard.said.poll(300, TimeUnit.MILLISECONDS)));
            client.close();
        }
        remove(root);
    }

    private static LeaderServer serve(LeaderBook book, HaDirectory directory, int port)
            throws Exception {
        InetSocketAddress address = new InetSocketAddress("127.0.0.1", port);
        return new LeaderServer(LOG, book, directory, address, LeadersTest::fail);
    }

    private static LeaderClient follow(LeaderBook book, int port, String cluster) {
        LeaderContact contact = new LeaderContact("127.0.0.1:" + port, cluster);
        return new LeaderClient(LOG, book, contact, Path.of("/nowhere"));
    }

    private static void fail(Throwable error) {
        LOG.error("Nobody is told of leaders any more.", error);
    }

    private static void remove(Path root) throws IOException {
        try (HaDirectory directory = HaDirectory.open(root, LOG)) {
            directory.deleteAll(root);
        }
    }

    private static LeaderInformation known(UUID session, String address) {
        return LeaderInformation.known(session, address);
    }

    private static void equal(Object expected, Object actual) {
        if (!expected.equals(actual)) {
            throw new AssertionError("expected " + expected + ", got " + actual);
        }
    }
}
