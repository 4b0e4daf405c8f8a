package org.headrace.flink;

import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.runtime.leaderretrieval.DefaultLeaderRetrievalService;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalEventHandler;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalService;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;

/**
 * Who leads which component, and who wants to hear of it.
 *
 * <p>One thread of its own holds all state and calls all listeners, so there is no lock that theirs
 * could be taken in the wrong order with.
 */
final class LeaderBook implements AutoCloseable {

    static final String RESOURCE_MANAGER = "resource-manager";
    static final String DISPATCHER = "dispatcher";
    static final String REST = "rest";
    static final String JOB_PREFIX = "job/";

    /** Hears of each change. */
    interface Listener {
        void changed(String component, LeaderInformation leader);
    }

    private final Map<String, LeaderInformation> leaders = new HashMap<>();
    private final Map<String, List<LeaderRetrievalEventHandler>> followers = new HashMap<>();
    private final List<Listener> listeners = new ArrayList<>();
    private final ExecutorService thread =
            Executors.newSingleThreadExecutor(
                    task -> {
                        Thread made = new Thread(task, "headrace-leaders");
                        made.setDaemon(true);
                        return made;
                    });

    /** Sets a component's leader; an empty one means that it has none. */
    void set(String component, LeaderInformation leader) {
        run(() -> change(component, leader));
    }

    /** Sets all leaders; components that are not named have none. */
    void setAll(Map<String, LeaderInformation> all) {
        run(
                () -> {
                    for (String component : new ArrayList<>(leaders.keySet())) {
                        if (!all.containsKey(component)) {
                            change(component, LeaderInformation.empty());
                        }
                    }
                    all.forEach(this::change);
                });
    }

    /** Adds a listener; it first hears of all there is. */
    void listen(Listener listener) {
        run(
                () -> {
                    leaders.forEach(listener::changed);
                    listeners.add(listener);
                });
    }

    /** Runs something between two changes. */
    void run(Runnable task) {
        try {
            thread.execute(task);
        } catch (RejectedExecutionException e) {
            // Closed: nobody needs to know any more.
        }
    }

    /** To be called in this book's thread. */
    Map<String, LeaderInformation> leaders() {
        return leaders;
    }

    LeaderRetrievalService retriever(String component) {
        return new DefaultLeaderRetrievalService(
                (handler, fatal) -> {
                    run(() -> follow(component, handler));
                    return () -> run(() -> unfollow(component, handler));
                });
    }

    @Override
    public void close() {
        thread.shutdown(); // what was asked for before is still done
    }

    private void follow(String component, LeaderRetrievalEventHandler handler) {
        followers.computeIfAbsent(component, name -> new ArrayList<>()).add(handler);
        LeaderInformation leader = leaders.get(component);
        if (leader != null) {
            handler.notifyLeaderAddress(leader);
        }
    }

    private void unfollow(String component, LeaderRetrievalEventHandler handler) {
        List<LeaderRetrievalEventHandler> left = followers.get(component);
        if (left != null && left.remove(handler) && left.isEmpty()) {
            followers.remove(component);
        }
    }

    private void change(String component, LeaderInformation leader) {
        LeaderInformation before =
                leader.isEmpty() ? leaders.remove(component) : leaders.put(component, leader);
        if (leader.equals(before) || (before == null && leader.isEmpty())) {
            return;
        }
        for (Listener listener : listeners) {
            listener.changed(component, leader);
        }
        for (LeaderRetrievalEventHandler handler :
                new ArrayList<>(followers.getOrDefault(component, List.of()))) {
            handler.notifyLeaderAddress(leader);
        }
    }
}
