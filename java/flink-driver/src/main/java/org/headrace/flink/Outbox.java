package org.headrace.flink;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The requests and releases that the application master has not confirmed yet.
 *
 * <p>At most one command per worker waits here. A release takes the place of the request, so a late
 * retry of the request can never overtake it and leave a worker that nobody wants. Time is handed in
 * (milliseconds of any clock that does not go back); the owner takes care of locking.
 */
final class Outbox {

    static final long FIRST_RETRY_MS = 100;
    static final long LAST_RETRY_MS = 2_000;

    static final class Command {
        final String id;
        /** The request, or null for a release. */
        final WorkerRequest request;

        private boolean mayHaveArrived;
        private int failures;
        private long notBefore;

        private Command(String id, WorkerRequest request, boolean mayHaveArrived) {
            this.id = id;
            this.request = request;
            this.mayHaveArrived = mayHaveArrived;
        }

        boolean isRelease() {
            return request == null;
        }
    }

    private final Map<String, Command> commands = new LinkedHashMap<>();

    /** Queues a request that may be sent from the given time on. */
    void request(WorkerRequest request, long notBefore) {
        Command command = new Command(request.id, request, false);
        command.notBefore = notBefore;
        commands.put(request.id, command);
    }

    /** Lets the first request go that waits for its time; false if none does. */
    boolean hurry(long now) {
        for (Command command : commands.values()) {
            if (!command.isRelease() && !command.mayHaveArrived && command.notBefore > now) {
                command.notBefore = now;
                return true;
            }
        }
        return false;
    }

    /** Queues a request that was sent before, if nothing about that worker waits already. */
    void requestAgain(WorkerRequest request) {
        commands.putIfAbsent(request.id, new Command(request.id, request, true));
    }

    void release(String id) {
        Command waiting = commands.remove(id);
        // A request that was never sent is simply dropped: there is nothing to release.
        if (waiting == null || waiting.mayHaveArrived) {
            commands.put(id, new Command(id, null, true));
        }
    }

    /** Takes the next command that is due, or null. It stays here until done or failed is told. */
    Command next(long now) {
        for (Command command : commands.values()) {
            if (command.notBefore <= now) {
                command.mayHaveArrived = true;
                return command;
            }
        }
        return null;
    }

    /** How long until a command is due; Long.MAX_VALUE if none waits. */
    long untilNext(long now) {
        long due = Long.MAX_VALUE;
        for (Command command : commands.values()) {
            due = Math.min(due, Math.max(0, command.notBefore - now));
        }
        return due;
    }

    void done(Command command) {
        commands.remove(command.id, command);
    }

    void failed(Command command, long now) {
        command.notBefore = now + retryDelay(command.failures++);
    }

    int size() {
        return commands.size();
    }

    /** The pause after the given number of earlier failures: doubling up to a limit. */
    static long retryDelay(int failures) {
        return failures >= 10
                ? LAST_RETRY_MS
                : Math.min(LAST_RETRY_MS, FIRST_RETRY_MS << failures);
    }
}
