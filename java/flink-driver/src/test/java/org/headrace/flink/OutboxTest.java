package org.headrace.flink;

import java.util.List;

/** The order and repetition of commands, with the time in the test's hand. */
public final class OutboxTest {

    private final Outbox outbox = new Outbox();

    private OutboxTest() {}

    public static void main(String[] args) {
        new OutboxTest().inOrder();
        new OutboxTest().repeated();
        new OutboxTest().releaseOfUnsentRequest();
        new OutboxTest().releaseReplacesSentRequest();
        new OutboxTest().held();
        new OutboxTest().requestAgain();
        new OutboxTest().hurried();
        delays();
    }

    private void inOrder() {
        equal("", take(0));
        outbox.request(request("a"), 0);
        outbox.release("b");
        equal("request a", finish(0));
        equal("release b", finish(0));
        equal("", take(0));
        equal(Long.MAX_VALUE, outbox.untilNext(0));
    }

    private void repeated() {
        outbox.request(request("a"), 0);
        outbox.request(request("b"), 0);
        outbox.failed(outbox.next(1_000), 1_000);
        equal("request b", finish(1_000));
        equal("", take(1_099));
        equal(1L, outbox.untilNext(1_099));
        outbox.failed(outbox.next(1_100), 1_100);
        equal("", take(1_299));
        equal("request a", finish(1_300));
        equal(0, outbox.size());
    }

    private void releaseOfUnsentRequest() {
        outbox.request(request("a"), 0);
        outbox.release("a");
        equal(0, outbox.size());
    }

    private void releaseReplacesSentRequest() {
        outbox.request(request("a"), 0);
        Outbox.Command sent = outbox.next(0);
        outbox.release("a");
        // The answer to the request must not take the release away, nor bring the request back.
        outbox.failed(sent, 0);
        outbox.done(sent);
        equal("release a", finish(0));
        equal("", take(10_000));
    }

    private void held() {
        outbox.request(request("a"), 500);
        outbox.release("b");
        equal("release b", finish(0));
        equal("", take(499));
        outbox.release("a");
        equal(0, outbox.size());
    }

    private void hurried() {
        equal(false, outbox.hurry(0));
        outbox.request(request("a"), 10_000);
        outbox.request(request("b"), 10_000);
        equal("", take(0));
        equal(true, outbox.hurry(5));
        equal("request a", finish(5));
        equal("", take(5));
        equal("request b", finish(10_000));
    }

    private void requestAgain() {
        outbox.requestAgain(request("a"));
        outbox.release("a");
        equal("release a", take(0));
        outbox.requestAgain(request("a"));
        equal("release a", finish(0));
        equal(0, outbox.size());
    }

    private static void delays() {
        equal(100L, Outbox.retryDelay(0));
        equal(200L, Outbox.retryDelay(1));
        equal(1_600L, Outbox.retryDelay(4));
        equal(2_000L, Outbox.retryDelay(5));
        equal(2_000L, Outbox.retryDelay(Integer.MAX_VALUE));
    }

    private String take(long now) {
        return text(outbox.next(now));
    }

    private String finish(long now) {
        Outbox.Command command = outbox.next(now);
        outbox.done(command);
        return text(command);
    }

    private static String text(Outbox.Command command) {
        if (command == null) {
            return "";
        }
        return (command.isRelease() ? "release " : "request ") + command.id;
    }

    private static WorkerRequest request(String id) {
        return new WorkerRequest(id, 1, 1024, 1, "", List.of());
    }

    private static void equal(Object expected, Object actual) {
        if (!expected.equals(actual)) {
            throw new AssertionError("expected <" + expected + "> but was <" + actual + ">");
        }
    }
}
