package org.headrace.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.checkpoint.CheckpointStoreUtil;
import org.apache.flink.runtime.jobmanager.JobGraphStoreUtil;

import java.util.Locale;

/** What files of jobs and checkpoints are called: their ids, so that sorting them sorts checkpoints. */
enum FileNames implements JobGraphStoreUtil, CheckpointStoreUtil {
    INSTANCE;

    @Override
    public String jobIDToName(JobID job) {
        return job.toString();
    }

    @Override
    public JobID nameToJobID(String name) {
        return JobID.fromHexString(name);
    }

    @Override
    public String checkpointIDToName(long checkpoint) {
        return String.format(Locale.ROOT, "%019d", checkpoint);
    }

    @Override
    public long nameToCheckpointID(String name) {
        try {
            return Long.parseLong(name);
        } catch (NumberFormatException e) {
            return INVALID_CHECKPOINT_ID;
        }
    }
}
