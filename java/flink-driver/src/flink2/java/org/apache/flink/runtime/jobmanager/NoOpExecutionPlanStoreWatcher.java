package org.apache.flink.runtime.jobmanager;

/** Since 2.0. */
public enum NoOpExecutionPlanStoreWatcher implements ExecutionPlanStoreWatcher {
    INSTANCE
}
