package org.headrace.flink;

import java.io.IOException;
import java.time.Duration;

/** Repeats a call until it succeeds, is refused for good, or its time is over. */
final class Retry {

    interface Call<T> {
        /** {@code left}: the time that it may take. */
        T run(Duration left) throws IOException, InterruptedException;
    }

    private Retry() {}

    static <T> T within(Duration limit, Call<T> call) throws IOException, InterruptedException {
        long end = System.nanoTime() + limit.toNanos();
        for (int failures = 0; ; failures++) {
            try {
                return call.run(Duration.ofNanos(Math.max(0, end - System.nanoTime())));
            } catch (IOException e) {
                long pause = Outbox.retryDelay(failures);
                boolean refused =
                        e instanceof ApplicationMasterException
                                && ((ApplicationMasterException) e).isFinal();
                if (refused || System.nanoTime() + pause * 1_000_000 > end) {
                    throw e;
                }
                Thread.sleep(pause);
            }
        }
    }
}
