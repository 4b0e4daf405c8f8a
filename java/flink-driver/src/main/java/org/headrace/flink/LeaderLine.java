package org.headrace.flink;

import org.apache.flink.runtime.leaderelection.LeaderInformation;

import java.util.Map;
import java.util.UUID;

/**
 * The lines in which a JobManager tells TaskManagers of leaders.
 *
 * <pre>
 * all TAB CLUSTER TAB GENERATION       what follows, up to the end, is all there is
 * COMPONENT TAB SESSION TAB ADDRESS    this component has this leader
 * COMPONENT                            this component has none
 * end
 * alive                                from time to time
 * </pre>
 */
final class LeaderLine {

    private static final String ALL = "all\t";
    static final String END = "end";
    static final String ALIVE = "alive";

    final String component;
    final LeaderInformation leader;

    private LeaderLine(String component, LeaderInformation leader) {
        this.component = component;
        this.leader = leader;
    }

    static String of(String component, LeaderInformation leader) {
        return leader.isEmpty()
                ? component + "\n"
                : component
                        + "\t"
                        + leader.getLeaderSessionID()
                        + "\t"
                        + leader.getLeaderAddress()
                        + "\n";
    }

    static String of(String cluster, long generation, Map<String, LeaderInformation> leaders) {
        StringBuilder text = new StringBuilder(ALL + cluster + "\t" + generation + "\n");
        leaders.forEach((component, leader) -> text.append(of(component, leader)));
        return text.append(END + "\n").toString();
    }

    static boolean isAll(String line) {
        return line.startsWith(ALL);
    }

    /** The generation of the JobManager that says so; throws if it is of another cluster. */
    static long generation(String line, String cluster) {
        String[] parts = line.split("\t");
        if (parts.length != 3 || !parts[1].equals(cluster)) {
            throw new IllegalArgumentException("that is a JobManager of another cluster");
        }
        return Long.parseLong(parts[2]);
    }

    /** Throws IllegalArgumentException if it is none. */
    static LeaderLine parse(String line) {
        String[] parts = line.split("\t");
        if (parts.length == 1) {
            return new LeaderLine(parts[0], LeaderInformation.empty());
        }
        if (parts.length != 3) {
            throw new IllegalArgumentException("not a line about a leader: " + line);
        }
        return new LeaderLine(
                parts[0], LeaderInformation.known(UUID.fromString(parts[1]), parts[2]));
    }
}
