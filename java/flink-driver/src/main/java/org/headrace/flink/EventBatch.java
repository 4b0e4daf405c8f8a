package org.headrace.flink;

import java.util.List;

/** The answer to one poll for events; sequence is where the next poll goes on. */
final class EventBatch {

    final List<WorkerEvent> events;
    final long sequence;

    EventBatch(List<WorkerEvent> events, long sequence) {
        this.events = events;
        this.sequence = sequence;
    }
}
