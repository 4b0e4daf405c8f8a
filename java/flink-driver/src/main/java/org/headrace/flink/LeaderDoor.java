package org.headrace.flink;

import org.slf4j.Logger;

import java.io.IOException;
import java.net.StandardSocketOptions;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.function.Consumer;

/**
 * Takes in those who want to hear of leaders, for as long as the JobManager lives.
 *
 * <p>A client that breaks off while it is taken in is let go. An error of the listening socket, such
 * as no descriptor being free, is waited out; if it lasts, it is fatal: a JobManager that no
 * TaskManager can find must be started again.
 */
final class LeaderDoor implements Runnable {

    /** Half a minute of errors, with a pause after each. */
    static final int TRIES = 150;

    static final Duration PAUSE = Duration.ofMillis(200);

    /** The listening socket. */
    interface Listening {
        SocketChannel accept() throws IOException;

        boolean isOpen();
    }

    private final Logger log;
    private final Listening listening;
    private final Consumer<SocketChannel> welcome;
    private final Consumer<Throwable> fatal;
    private final int tries;
    private final Duration pause;

    LeaderDoor(
            Logger log,
            Listening listening,
            Consumer<SocketChannel> welcome,
            Consumer<Throwable> fatal,
            int tries,
            Duration pause) {
        this.log = log;
        this.listening = listening;
        this.welcome = welcome;
        this.fatal = fatal;
        this.tries = tries;
        this.pause = pause;
    }

    @Override
    public void run() {
        try {
            while (listening.isOpen()) {
                SocketChannel client = next();
                if (client != null) {
                    takeIn(client);
                }
            }
        } catch (InterruptedException e) {
            log.debug("Nobody is taken in any more.");
        } catch (Exception | Error e) {
            if (listening.isOpen()) {
                fatal.accept(e);
            }
        }
    }

    /** The next one; null if it is closed. */
    private SocketChannel next() throws IOException, InterruptedException {
        for (int failures = 1; ; failures++) {
            try {
                return listening.accept();
            } catch (IOException e) {
                if (!listening.isOpen()) {
                    return null;
                }
                if (failures == tries) {
                    throw new IOException("TaskManagers can't be told of leaders", e);
                }
                if (failures == 1) {
                    log.warn("TaskManagers can't be told of leaders, will retry: {}", e.toString());
                }
                Thread.sleep(pause.toMillis());
            }
        }
    }

    private void takeIn(SocketChannel client) {
        try {
            client.configureBlocking(false);
            client.setOption(StandardSocketOptions.TCP_NODELAY, true);
        } catch (IOException e) {
            log.debug("A TaskManager has gone: {}", e.toString());
            closeQuietly(client);
            return;
        }
        welcome.accept(client);
    }

    static void closeQuietly(SocketChannel client) {
        try {
            client.close();
        } catch (IOException e) {
            // It is of no use any more.
        }
    }
}
