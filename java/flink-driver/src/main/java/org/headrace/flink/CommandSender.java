package org.headrace.flink;

import org.slf4j.Logger;

import java.io.IOException;
import java.time.Duration;
import java.util.function.BiConsumer;

/**
 * The thread that empties the outbox towards the application master.
 *
 * <p>A command is repeated until it is confirmed or refused for good, however long the application
 * master is away.
 */
final class CommandSender {

    private final Logger log;
    private final ApplicationMasterClient client;
    private final BiConsumer<String, IOException> onRequestRefused;
    private final Outbox outbox = new Outbox();
    private final Thread thread = new Thread(this::run, "headrace-commands");
    private long requestsFrom = Long.MIN_VALUE;
    /** Requests that may go at once all the same. */
    private int exempt;

    /** Whether the last call failed, so that an outage is logged once. */
    private boolean away;

    CommandSender(
            Logger log,
            ApplicationMasterClient client,
            BiConsumer<String, IOException> onRequestRefused) {
        this.log = log;
        this.client = client;
        this.onRequestRefused = onRequestRefused;
        thread.setDaemon(true);
    }

    void start() {
        thread.start();
    }

    void stop() {
        thread.interrupt();
    }

    /** Sends nothing but releases for this long, and requests that replace somebody. */
    void holdRequests(Duration time) {
        synchronized (outbox) {
            requestsFrom = now() + time.toMillis();
        }
    }

    /** A worker has ended: one request in its place need not wait. */
    void exemptRequest() {
        synchronized (outbox) {
            if (now() < requestsFrom && !outbox.hurry(now())) {
                exempt++;
            }
            outbox.notifyAll();
        }
    }

    void request(WorkerRequest request) {
        synchronized (outbox) {
            boolean waits = now() < requestsFrom && exempt == 0;
            exempt = waits ? exempt : Math.max(0, exempt - 1);
            outbox.request(request, waits ? requestsFrom : Long.MIN_VALUE);
            outbox.notifyAll();
        }
    }

    void requestAgain(WorkerRequest request) {
        synchronized (outbox) {
            outbox.requestAgain(request);
            outbox.notifyAll();
        }
    }

    void release(String id) {
        synchronized (outbox) {
            outbox.release(id);
            outbox.notifyAll();
        }
    }

    private void run() {
        try {
            while (!Thread.currentThread().isInterrupted()) {
                send(await());
            }
        } catch (InterruptedException e) {
            log.debug("The command sender stops.");
        }
    }

    private Outbox.Command await() throws InterruptedException {
        synchronized (outbox) {
            while (true) {
                Outbox.Command command = outbox.next(now());
                if (command != null) {
                    return command;
                }
                long pause = outbox.untilNext(now());
                outbox.wait(pause == Long.MAX_VALUE ? 0 : Math.max(1, pause));
            }
        }
    }

    private void send(Outbox.Command command) throws InterruptedException {
        try {
            if (command.isRelease()) {
                client.release(command.id);
            } else {
                client.request(command.request);
            }
            done(command);
        } catch (ApplicationMasterException e) {
            if (e.isFinal()) {
                refused(command, e);
            } else {
                failed(command, e);
            }
        } catch (IOException e) {
            failed(command, e);
        }
    }

    private void done(Outbox.Command command) {
        synchronized (outbox) {
            outbox.done(command);
        }
        if (away) {
            log.info("The application master takes commands again.");
        }
        away = false;
    }

    private void refused(Outbox.Command command, IOException error) {
        done(command);
        if (command.isRelease()) {
            log.warn("Release of {} refused: {}", command.id, error.getMessage());
        } else {
            onRequestRefused.accept(command.id, error);
        }
    }

    private void failed(Outbox.Command command, IOException error) {
        synchronized (outbox) {
            outbox.failed(command, now());
        }
        if (!away) {
            log.warn("The application master takes no commands, will retry: {}", error.toString());
        }
        away = true;
    }

    private static long now() {
        return System.nanoTime() / 1_000_000;
    }
}
