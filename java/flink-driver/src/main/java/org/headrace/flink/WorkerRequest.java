package org.headrace.flink;

import java.util.List;

/** What the application master needs to know to start one TaskManager. */
final class WorkerRequest {

    final String id;
    final double cpus;
    final long memoryMib;
    final int slots;
    final String jvm;
    final List<String> dynamic;

    WorkerRequest(
            String id, double cpus, long memoryMib, int slots, String jvm, List<String> dynamic) {
        this.id = id;
        this.cpus = cpus;
        this.memoryMib = memoryMib;
        this.slots = slots;
        this.jvm = jvm;
        this.dynamic = dynamic;
    }
}
