package org.headrace.flink;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What the driver knows about its workers, and what follows from an event.
 *
 * <p>A worker is pending (asked for, not started), then live, then forgotten. The book decides only:
 * it does no I/O and has no lock; the driver uses it on Flink's main thread.
 *
 * @param <R> what the driver keeps with a pending request
 */
final class WorkerBook<R> {

    enum Action {
        /** The request is answered: its worker runs. */
        COMPLETE,
        /** The request failed: its worker ended before it started. */
        FAIL,
        /** A live worker ended. */
        TERMINATED,
        /** A worker runs that nobody here wants: let the application master stop it. */
        RELEASE,
        /** It is unknown whether the application master still has the request: send it again. */
        ASK_AGAIN
    }

    static final class Change<R> {
        final Action action;
        final String id;
        /** The pending request that this change is about, else null. */
        final R request;

        final String reason;

        Change(Action action, String id, R request, String reason) {
            this.action = action;
            this.id = id;
            this.request = request;
            this.reason = reason;
        }
    }

    private final Map<String, R> pending = new LinkedHashMap<>();
    private final Set<String> live = new LinkedHashSet<>();
    private long sequence;

    /** Takes over the workers of previous attempts. */
    void attached(Attachment attachment) {
        live.addAll(attachment.workers);
        sequence = attachment.sequence;
    }

    void requested(String id, R request) {
        pending.put(id, request);
    }

    /** Ends a request from our side (cancelled or refused); empty if it had ended already. */
    Optional<R> withdrawn(String id) {
        return Optional.ofNullable(pending.remove(id));
    }

    void released(String id) {
        live.remove(id);
    }

    /** Applies an event at most once, in order. */
    Optional<Change<R>> apply(WorkerEvent event) {
        if (event.sequence <= sequence) {
            return Optional.empty();
        }
        sequence = event.sequence;
        switch (event.type) {
            case STARTED:
                return Optional.ofNullable(started(event.id));
            case TERMINATED:
                return Optional.ofNullable(terminated(event.id, event.reason));
            default:
                return Optional.empty();
        }
    }

    /** Compares the book with a fresh list of live workers, after events were lost. */
    List<Change<R>> reattached(Attachment attachment) {
        sequence = attachment.sequence;
        List<Change<R>> changes = new ArrayList<>();
        for (String id : attachment.workers) {
            Change<R> change = started(id);
            if (change != null) {
                changes.add(change);
            }
        }
        for (String id : missing(attachment.workers)) {
            changes.add(terminated(id, "ended while its events were not held"));
        }
        pending.forEach(
                (id, request) -> changes.add(new Change<>(Action.ASK_AGAIN, id, request, "")));
        return changes;
    }

    private Change<R> started(String id) {
        if (live.contains(id)) {
            return null;
        }
        R request = pending.remove(id);
        if (request == null) {
            return new Change<>(Action.RELEASE, id, null, "");
        }
        live.add(id);
        return new Change<>(Action.COMPLETE, id, request, "");
    }

    private Change<R> terminated(String id, String reason) {
        R request = pending.remove(id);
        if (request != null) {
            return new Change<>(Action.FAIL, id, request, reason);
        }
        return live.remove(id) ? new Change<>(Action.TERMINATED, id, null, reason) : null;
    }

    private List<String> missing(Collection<String> workers) {
        List<String> missing = new ArrayList<>(live);
        missing.removeAll(new LinkedHashSet<>(workers));
        return missing;
    }
}
