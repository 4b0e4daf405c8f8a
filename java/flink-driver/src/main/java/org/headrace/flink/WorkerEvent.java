package org.headrace.flink;

/** Something that the application master reports about one worker. */
final class WorkerEvent {

    enum Type {
        STARTED,
        TERMINATED,
        /** A type that this driver does not know; it only moves the sequence on. */
        OTHER
    }

    final long sequence;
    final Type type;
    final String id;
    final String reason;

    WorkerEvent(long sequence, Type type, String id, String reason) {
        this.sequence = sequence;
        this.type = type;
        this.id = id;
        this.reason = reason;
    }
}
