package org.headrace.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.blob.BlobUtils;
import org.apache.flink.runtime.checkpoint.CheckpointRecoveryFactory;
import org.apache.flink.runtime.highavailability.AbstractHaServices;
import org.apache.flink.runtime.highavailability.FileSystemJobResultStore;
import org.apache.flink.runtime.jobmanager.DefaultJobGraphStore;
import org.apache.flink.runtime.jobmanager.JobGraphStore;
import org.apache.flink.runtime.jobmanager.NoOpJobGraphStoreWatcher;
import org.apache.flink.runtime.leaderelection.LeaderElectionDriver;
import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalService;

import java.io.IOException;
import java.util.UUID;
import java.util.concurrent.Executor;

/**
 * What a JobManager needs to be followed by another: jobs, checkpoints, results and jars in files.
 *
 * <p>Whoever owns the directory leads everything, under a session of its own, so that TaskManagers
 * tell it from the one before.
 */
@SuppressWarnings("try") // Flink's close() may throw InterruptedException.
final class JobManagerHaServices extends AbstractHaServices {

    private static final String JOB_GRAPHS = "job-graphs";

    private final HaDirectory directory;
    private final LeaderBook book;
    private final LeaderServer server;

    JobManagerHaServices(
            Configuration configuration,
            Executor executor,
            HaDirectory directory,
            LeaderBook book,
            LeaderServer server)
            throws IOException {
        super(
                configuration,
                listener -> {
                    listener.onGrantLeadership(UUID.randomUUID());
                    return new Owner(book);
                },
                executor,
                BlobUtils.createBlobStoreFromConfig(configuration),
                FileSystemJobResultStore.fromConfiguration(configuration, executor));
        this.directory = directory;
        this.book = book;
        this.server = server;
    }

    private static final class Owner implements LeaderElectionDriver {
        private final LeaderBook book;

        Owner(LeaderBook book) {
            this.book = book;
        }

        @Override
        public boolean hasLeadership() {
            return true;
        }

        @Override
        public void publishLeaderInformation(String component, LeaderInformation leader) {
            book.set(component, leader);
        }

        @Override
        public void deleteLeaderInformation(String component) {
            book.set(component, LeaderInformation.empty());
        }

        @Override
        public void close() {}
    }

    @Override
    protected LeaderRetrievalService createLeaderRetrievalService(String component) {
        return book.retriever(component);
    }

    @Override
    protected CheckpointRecoveryFactory createCheckpointRecoveryFactory() {
        return new FileCheckpointRecoveryFactory(directory);
    }

    @Override
    protected JobGraphStore createJobGraphStore() {
        return new DefaultJobGraphStore<>(
                new FileStateHandleStore<>(directory, directory.resolve(JOB_GRAPHS)),
                NoOpJobGraphStoreWatcher.INSTANCE,
                FileNames.INSTANCE);
    }

    @Override
    protected void internalClose() throws IOException {
        server.close();
        book.close();
        directory.close();
    }

    @Override
    protected void internalCleanup() throws IOException {
        directory.deleteAll(directory.resolve(JOB_GRAPHS));
        directory.deleteAll(directory.resolve(FileCheckpointRecoveryFactory.JOBS));
    }

    @Override
    protected void internalCleanupJobData(JobID job) throws IOException {
        directory.deleteAll(
                directory.resolve(FileCheckpointRecoveryFactory.JOBS, job.toString()));
    }

    @Override
    protected String getLeaderPathForResourceManager() {
        return LeaderBook.RESOURCE_MANAGER;
    }

    @Override
    protected String getLeaderPathForDispatcher() {
        return LeaderBook.DISPATCHER;
    }

    @Override
    protected String getLeaderPathForJobManager(JobID job) {
        return LeaderBook.JOB_PREFIX + job;
    }

    @Override
    protected String getLeaderPathForRestServer() {
        return LeaderBook.REST;
    }
}
