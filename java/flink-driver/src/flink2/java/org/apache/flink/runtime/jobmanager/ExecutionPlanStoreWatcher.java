package org.apache.flink.runtime.jobmanager;

/** Since 2.0. */
public interface ExecutionPlanStoreWatcher {}
