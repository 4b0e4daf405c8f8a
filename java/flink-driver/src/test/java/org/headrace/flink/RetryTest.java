package org.headrace.flink;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A call that is repeated within a time takes no more than that, also if nobody answers. */
public final class RetryTest {

    private RetryTest() {}

    public static void main(String[] args) throws Exception {
        eachCallHearsWhatIsLeft();
        itFailsWhenTheTimeIsOver();
        aServerThatIsSilentTakesNoLongerThanTheLimit();
    }

    private static void eachCallHearsWhatIsLeft() throws Exception {
        List<Duration> heard = new ArrayList<>();
        Duration limit = Duration.ofMinutes(2);
        String answer =
                Retry.within(
                        limit,
                        left -> {
                            heard.add(left);
                            if (heard.size() < 3) {
                                throw new IOException("away");
                            }
                            return "there";
                        });
        check(answer.equals("there") && heard.size() == 3, "it was not tried until it succeeded");
        Duration before = limit.plusNanos(1);
        for (Duration left : heard) {
            check(!left.isNegative() && left.compareTo(before) < 0, left + " after " + before);
            before = left;
        }
    }

    private static void itFailsWhenTheTimeIsOver() throws Exception {
        for (Duration limit : List.of(Duration.ZERO, Duration.ofMillis(500))) {
            try {
                Retry.within(
                        limit,
                        left -> {
                            throw new IOException("away");
                        });
                throw new AssertionError("it did not fail");
            } catch (IOException e) {
                check(e.getMessage().equals("away"), "another failure: " + e);
            }
        }
    }

    /** That is far less than {@link ApplicationMasterClient#CALL_LIMIT}. */
    private static void aServerThatIsSilentTakesNoLongerThanTheLimit() throws Exception {
        Path token = Files.createTempFile("token", "");
        Duration limit = Duration.ofMillis(500);
        try (ServerSocket silent = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
            String url = "http://127.0.0.1:" + silent.getLocalPort();
            ApplicationMasterClient client = new ApplicationMasterClient(url, token);
            long began = System.nanoTime();
            try {
                Retry.within(
                        limit,
                        left -> {
                            client.deregister("SUCCEEDED", "", left);
                            return null;
                        });
                throw new AssertionError("somebody answered");
            } catch (IOException e) {
                long took = (System.nanoTime() - began) / 1_000_000;
                long most = ApplicationMasterClient.CALL_LIMIT.toMillis();
                check(took < most, "it took " + took + " ms");
            }
        } finally {
            Files.delete(token);
        }
    }

    private static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }
}
