package org.apache.flink.runtime.jobmanager;

import org.apache.flink.api.common.JobID;

/** Since 2.0. */
public interface ExecutionPlanStoreUtil {
    String jobIDToName(JobID job);

    JobID nameToJobID(String name);
}
