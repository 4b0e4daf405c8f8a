package org.headrace.flink;

import org.apache.flink.runtime.leaderelection.LeaderInformation;

import org.slf4j.Logger;

import java.io.IOException;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Tells TaskManagers at once who leads: each keeps a connection and is sent every change.
 *
 * <p>It listens where the JobManager before it did, if that is still possible, so that TaskManagers
 * find it again. Whoever is too slow to read is cut off, and gets everything when it connects again.
 */
final class LeaderServer implements AutoCloseable {

    static final Duration ALIVE_EVERY = Duration.ofSeconds(5);
    private static final int PORT_TRIES = 20;
    private static final long PORT_PAUSE_MS = 100;

    private final Logger log;
    private final LeaderBook book;
    private final String cluster;
    private final long generation;
    private final ServerSocketChannel server;
    /** Used in the book's thread only. */
    private final List<SocketChannel> clients = new ArrayList<>();

    private final Thread accepting;
    private final Thread alive = new Thread(this::keepAlive, "headrace-leaders-alive");

    /** {@code fatal} hears of it if TaskManagers can't be told any more. */
    LeaderServer(
            Logger log,
            LeaderBook book,
            HaDirectory directory,
            InetSocketAddress preferred,
            Consumer<Throwable> fatal)
            throws IOException, InterruptedException {
        this.log = log;
        this.book = book;
        this.cluster = directory.identity();
        this.generation = directory.generation();
        this.server = bind(preferred.getHostString(), preferred.getPort());
        book.listen((component, leader) -> send(LeaderLine.of(component, leader)));
        LeaderDoor door =
                new LeaderDoor(
                        log,
                        listening(server),
                        client -> book.run(() -> welcome(client)),
                        fatal,
                        LeaderDoor.TRIES,
                        LeaderDoor.PAUSE);
        accepting = new Thread(door, "headrace-leaders-accept");
        accepting.setDaemon(true);
        accepting.start();
        alive.setDaemon(true);
        alive.start();
    }

    int port() throws IOException {
        return ((InetSocketAddress) server.getLocalAddress()).getPort();
    }

    @Override
    public void close() throws IOException {
        server.close();
        accepting.interrupt();
        alive.interrupt();
        book.run(
                () -> {
                    clients.forEach(LeaderDoor::closeQuietly);
                    clients.clear();
                });
    }

    private ServerSocketChannel bind(String host, int port)
            throws IOException, InterruptedException {
        for (int tries = 1; ; tries++) {
            ServerSocketChannel channel = ServerSocketChannel.open();
            try {
                channel.setOption(StandardSocketOptions.SO_REUSEADDR, true);
                channel.bind(new InetSocketAddress(host, tries > PORT_TRIES ? 0 : port));
                return channel;
            } catch (BindException e) {
                channel.close();
                if (port == 0 || tries > PORT_TRIES) {
                    throw e;
                }
                if (tries == PORT_TRIES) {
                    log.warn(
                            "Port {}, where TaskManagers look for leaders, is taken; those on"
                                    + " other machines will not find this JobManager.",
                            port);
                }
                Thread.sleep(PORT_PAUSE_MS);
            }
        }
    }

    private static LeaderDoor.Listening listening(ServerSocketChannel server) {
        return new LeaderDoor.Listening() {
            @Override
            public SocketChannel accept() throws IOException {
                return server.accept();
            }

            @Override
            public boolean isOpen() {
                return server.isOpen();
            }
        };
    }

    private void keepAlive() {
        try {
            while (true) {
                Thread.sleep(ALIVE_EVERY.toMillis());
                book.run(() -> send(LeaderLine.ALIVE + "\n"));
            }
        } catch (InterruptedException e) {
            log.debug("No more signs of life.");
        }
    }

    private void welcome(SocketChannel client) {
        if (write(client, LeaderLine.of(cluster, generation, book.leaders()))) {
            clients.add(client);
        }
    }

    private void send(String line) {
        clients.removeIf(client -> !write(client, line));
    }

    private boolean write(SocketChannel client, String text) {
        ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
        try {
            client.write(bytes);
        } catch (IOException e) {
            log.debug("A TaskManager has gone: {}", e.toString());
            LeaderDoor.closeQuietly(client);
            return false;
        }
        if (bytes.hasRemaining()) {
            log.warn("A TaskManager does not read; it is cut off.");
            LeaderDoor.closeQuietly(client);
            return false;
        }
        return true;
    }
}
