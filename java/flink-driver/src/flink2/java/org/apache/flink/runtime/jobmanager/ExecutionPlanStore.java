package org.apache.flink.runtime.jobmanager;

/** Since 2.0, where 1.x has JobGraphStore. */
public interface ExecutionPlanStore {}
