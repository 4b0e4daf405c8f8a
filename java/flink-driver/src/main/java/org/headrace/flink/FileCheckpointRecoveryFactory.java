package org.headrace.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.core.execution.RecoveryClaimMode;
import org.apache.flink.core.execution.RestoreMode;
import org.apache.flink.runtime.checkpoint.CheckpointIDCounter;
import org.apache.flink.runtime.checkpoint.CheckpointRecoveryFactory;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStore;
import org.apache.flink.runtime.checkpoint.DefaultCompletedCheckpointStore;
import org.apache.flink.runtime.checkpoint.DefaultCompletedCheckpointStoreUtils;
import org.apache.flink.runtime.state.SharedStateRegistry;
import org.apache.flink.runtime.state.SharedStateRegistryFactory;
import org.apache.flink.util.function.FunctionWithException;

import java.lang.reflect.Method;
import java.util.Collection;
import java.util.concurrent.Executor;

/** Pointers to completed checkpoints, and the numbers of checkpoints, in files per job. */
final class FileCheckpointRecoveryFactory implements CheckpointRecoveryFactory {

    static final String JOBS = "jobs";

    private final HaDirectory directory;

    FileCheckpointRecoveryFactory(HaDirectory directory) {
        this.directory = directory;
    }

    /** Flink 1. */
    @Override
    public CompletedCheckpointStore createRecoveredCompletedCheckpointStore(
            JobID job,
            int retained,
            SharedStateRegistryFactory registries,
            Executor executor,
            RestoreMode mode)
            throws Exception {
        return recover(
                job, retained, executor, found -> registries.create(executor, found, mode));
    }

    /** Flink 2. */
    public CompletedCheckpointStore createRecoveredCompletedCheckpointStore(
            JobID job,
            int retained,
            SharedStateRegistryFactory registries,
            Executor executor,
            RecoveryClaimMode mode)
            throws Exception {
        Method create =
                SharedStateRegistryFactory.class.getMethod(
                        "create", Executor.class, Collection.class, RecoveryClaimMode.class);
        return recover(
                job,
                retained,
                executor,
                found -> (SharedStateRegistry) create.invoke(registries, executor, found, mode));
    }

    private CompletedCheckpointStore recover(
            JobID job,
            int retained,
            Executor executor,
            FunctionWithException<Collection<CompletedCheckpoint>, SharedStateRegistry, Exception>
                    registry)
            throws Exception {
        FileStateHandleStore<CompletedCheckpoint> store =
                new FileStateHandleStore<>(
                        directory, directory.resolve(JOBS, job.toString(), "checkpoints"));
        Collection<CompletedCheckpoint> found =
                DefaultCompletedCheckpointStoreUtils.retrieveCompletedCheckpoints(
                        store, CheckpointNames.INSTANCE);
        return new DefaultCompletedCheckpointStore<>(
                retained,
                store,
                CheckpointNames.INSTANCE,
                found,
                registry.apply(found),
                executor);
    }

    @Override
    public CheckpointIDCounter createCheckpointIDCounter(JobID job) {
        return new FileCheckpointIdCounter(
                directory, directory.resolve(JOBS, job.toString(), "checkpoint-id"));
    }
}
