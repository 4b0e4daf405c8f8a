package org.headrace.flink;

import org.slf4j.Logger;

import java.io.IOException;
import java.time.Duration;

/** The thread that polls the application master for events. */
final class EventPoller {

    /** Who hears of the events; called on the poller's thread. */
    interface Listener {
        void onEvents(EventBatch batch);

        /** Events were lost; this is the state instead. */
        void onReattached(Attachment attachment);
    }

    private final Logger log;
    private final ApplicationMasterClient client;
    private final Retry.Call<Attachment> attach;
    private final Listener listener;
    private final Thread thread = new Thread(this::run, "headrace-events");
    private long after;

    EventPoller(
            Logger log,
            ApplicationMasterClient client,
            Retry.Call<Attachment> attach,
            Listener listener) {
        this.log = log;
        this.client = client;
        this.attach = attach;
        this.listener = listener;
        thread.setDaemon(true);
    }

    /** {@code left}: the time that it may take. */
    Attachment attach(Duration left) throws IOException, InterruptedException {
        return attach.run(left);
    }

    void start(long sequence) {
        after = sequence;
        thread.start();
    }

    void stop() {
        thread.interrupt();
    }

    private void run() {
        int failures = 0;
        try {
            while (!Thread.currentThread().isInterrupted()) {
                try {
                    poll();
                    if (failures > 0) {
                        log.info("The application master answers again.");
                    }
                    failures = 0;
                } catch (IOException e) {
                    if (failures == 0) {
                        log.warn("The application master is away, will retry: {}", e.toString());
                    }
                    Thread.sleep(Outbox.retryDelay(failures++));
                }
            }
        } catch (InterruptedException e) {
            log.debug("The event poller stops.");
        }
    }

    private void poll() throws IOException, InterruptedException {
        try {
            EventBatch batch = client.events(after);
            if (batch.events.isEmpty()) {
                // Keeps an application master that does not hold the poll from being flooded.
                Thread.sleep(Outbox.FIRST_RETRY_MS);
            } else {
                listener.onEvents(batch);
            }
            after = batch.sequence;
        } catch (ApplicationMasterException e) {
            if (!e.isGone()) {
                throw e;
            }
            log.warn("The events after {} are no longer held; attaching again.", after);
            Attachment attachment = attach.run(ApplicationMasterClient.CALL_LIMIT);
            after = attachment.sequence;
            listener.onReattached(attachment);
        }
    }
}
