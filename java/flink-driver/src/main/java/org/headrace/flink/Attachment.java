package org.headrace.flink;

import java.util.List;

/** The answer to an attach: the workers that live, and the event sequence at that moment. */
final class Attachment {

    final List<String> workers;
    final long sequence;

    Attachment(List<String> workers, long sequence) {
        this.workers = workers;
        this.sequence = sequence;
    }
}
