package org.headrace.flink;

import org.apache.flink.runtime.clusterframework.ApplicationStatus;

/** Who knows better than Flink how its cluster has ended. */
interface ClusterEnds {

    /** Flink knows. */
    ClusterEnds AS_FLINK_SAYS = status -> status;

    /** How it has ended, given what Flink says of it. */
    ApplicationStatus status(ApplicationStatus said);

    /** The cluster has a leader, whose REST is at this URL; called each time that there is one. */
    default void leads(String web) {}
}
