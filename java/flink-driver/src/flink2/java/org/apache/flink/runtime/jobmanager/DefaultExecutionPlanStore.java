package org.apache.flink.runtime.jobmanager;

import org.apache.flink.runtime.persistence.ResourceVersion;
import org.apache.flink.runtime.persistence.StateHandleStore;
import org.apache.flink.streaming.api.graph.ExecutionPlan;

/** Since 2.0. */
public class DefaultExecutionPlanStore<R extends ResourceVersion<R>> implements ExecutionPlanStore {
    public DefaultExecutionPlanStore(
            StateHandleStore<ExecutionPlan, R> store,
            ExecutionPlanStoreWatcher watcher,
            ExecutionPlanStoreUtil names) {}
}
