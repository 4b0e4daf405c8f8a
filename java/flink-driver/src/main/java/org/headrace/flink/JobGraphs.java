package org.headrace.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.jobmanager.DefaultJobGraphStore;
import org.apache.flink.runtime.jobmanager.JobGraphStore;
import org.apache.flink.runtime.jobmanager.JobGraphStoreUtil;
import org.apache.flink.runtime.jobmanager.NoOpJobGraphStoreWatcher;

/** What Flink 1 keeps of a job: its graph. */
final class JobGraphs {

    static final String FOLDER = "job-graphs";

    private enum Names implements JobGraphStoreUtil {
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

    private JobGraphs() {}

    static JobGraphStore store(HaDirectory directory) {
        return new DefaultJobGraphStore<>(
                new FileStateHandleStore<>(directory, directory.resolve(FOLDER)),
                NoOpJobGraphStoreWatcher.INSTANCE,
                Names.INSTANCE);
    }
}
