package org.headrace.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.jobmanager.DefaultExecutionPlanStore;
import org.apache.flink.runtime.jobmanager.ExecutionPlanStore;
import org.apache.flink.runtime.jobmanager.ExecutionPlanStoreUtil;
import org.apache.flink.runtime.jobmanager.NoOpExecutionPlanStoreWatcher;

/** What Flink 2 keeps of a job: its plan, which may be a graph of streams or of jobs. */
final class ExecutionPlans {

    static final String FOLDER = "execution-plans";

    private enum Names implements ExecutionPlanStoreUtil {
        INSTANCE;

        @Override
        public String jobIDToName(JobID job) {
            return job.toString();
        }

        @Override
        public JobID nameToJobID(String name) {
            return JobID.fromHexString(name);
        }
    }

    private ExecutionPlans() {}

    static ExecutionPlanStore store(HaDirectory directory) {
        return new DefaultExecutionPlanStore<>(
                new FileStateHandleStore<>(directory, directory.resolve(FOLDER)),
                NoOpExecutionPlanStoreWatcher.INSTANCE,
                Names.INSTANCE);
    }
}
