package org.headrace.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.core.execution.RestoreMode;
import org.apache.flink.runtime.checkpoint.CheckpointIDCounter;
import org.apache.flink.runtime.checkpoint.CheckpointRecoveryFactory;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStore;
import org.apache.flink.runtime.checkpoint.DefaultCompletedCheckpointStore;
import org.apache.flink.runtime.checkpoint.DefaultCompletedCheckpointStoreUtils;
import org.apache.flink.runtime.state.SharedStateRegistryFactory;

import java.util.Collection;
import java.util.concurrent.Executor;

/** Pointers to completed checkpoints, and the numbers of checkpoints, in files per job. */
final class FileCheckpointRecoveryFactory implements CheckpointRecoveryFactory {

    static final String JOBS = "jobs";

    private final HaDirectory directory;

    FileCheckpointRecoveryFactory(HaDirectory directory) {
        this.directory = directory;
    }

    @Override
    public CompletedCheckpointStore createRecoveredCompletedCheckpointStore(
            JobID job,
            int retained,
            SharedStateRegistryFactory registries,
            Executor executor,
            RestoreMode mode)
            throws Exception {
        FileStateHandleStore<CompletedCheckpoint> store =
                new FileStateHandleStore<>(
                        directory, directory.resolve(JOBS, job.toString(), "checkpoints"));
        Collection<CompletedCheckpoint> found =
                DefaultCompletedCheckpointStoreUtils.retrieveCompletedCheckpoints(
                        store, FileNames.INSTANCE);
        return new DefaultCompletedCheckpointStore<>(
                retained,
                store,
                FileNames.INSTANCE,
                found,
                registries.create(executor, found, mode),
                executor);
    }

    @Override
    public CheckpointIDCounter createCheckpointIDCounter(JobID job) {
        return new FileCheckpointIdCounter(
                directory, directory.resolve(JOBS, job.toString(), "checkpoint-id"));
    }
}
