package org.headrace.flink;

import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/** What follows from events, in every state of a worker. */
public final class WorkerBookTest {

    private final WorkerBook<String> book = new WorkerBook<>();

    private WorkerBookTest() {
        book.attached(new Attachment(List.of("old"), 10));
    }

    public static void main(String[] args) {
        new WorkerBookTest().startAndEnd();
        new WorkerBookTest().endBeforeStart();
        new WorkerBookTest().recovered();
        new WorkerBookTest().atMostOnce();
        new WorkerBookTest().cancelled();
        new WorkerBookTest().released();
        new WorkerBookTest().reattached();
    }

    private void startAndEnd() {
        book.requested("a", "A");
        change("COMPLETE a A", started(11, "a"));
        change("", started(12, "a"));
        change("TERMINATED a null why", terminated(13, "a"));
        change("", terminated(14, "a"));
    }

    private void endBeforeStart() {
        book.requested("a", "A");
        change("FAIL a A why", terminated(11, "a"));
        change("", terminated(12, "a"));
    }

    private void recovered() {
        change("", started(11, "old"));
        change("TERMINATED old null why", terminated(12, "old"));
    }

    private void atMostOnce() {
        book.requested("a", "A");
        change("", started(10, "a"));
        change("COMPLETE a A", started(11, "a"));
        change("", terminated(11, "a"));
    }

    private void cancelled() {
        book.requested("a", "A");
        equal(Optional.of("A"), book.withdrawn("a"));
        equal(Optional.empty(), book.withdrawn("a"));
        // It was started before the application master heard of the release.
        change("RELEASE a null", started(11, "a"));
        change("", terminated(12, "a"));
    }

    private void released() {
        book.released("old");
        change("", terminated(11, "old"));
    }

    private void reattached() {
        book.requested("a", "A");
        book.requested("b", "B");
        book.requested("c", "C");
        change("COMPLETE c C", started(11, "c"));
        List<String> changes =
                book.reattached(new Attachment(List.of("a", "c", "stray"), 90)).stream()
                        .map(WorkerBookTest::text)
                        .collect(Collectors.toList());
        equal(
                List.of(
                        "COMPLETE a A",
                        "RELEASE stray null",
                        "TERMINATED old null ended while its events were not held",
                        "ASK_AGAIN b B"),
                changes);
        change("", terminated(90, "a"));
        change("TERMINATED a null why", terminated(91, "a"));
    }

    private Optional<WorkerBook.Change<String>> started(long sequence, String id) {
        return book.apply(new WorkerEvent(sequence, WorkerEvent.Type.STARTED, id, ""));
    }

    private Optional<WorkerBook.Change<String>> terminated(long sequence, String id) {
        return book.apply(new WorkerEvent(sequence, WorkerEvent.Type.TERMINATED, id, "why"));
    }

    private static String text(WorkerBook.Change<String> change) {
        return (change.action + " " + change.id + " " + change.request + " " + change.reason).trim();
    }

    private static void change(String expected, Optional<WorkerBook.Change<String>> actual) {
        equal(expected, actual.map(WorkerBookTest::text).orElse(""));
    }

    private static void equal(Object expected, Object actual) {
        if (!expected.equals(actual)) {
            throw new AssertionError("expected <" + expected + "> but was <" + actual + ">");
        }
    }
}
