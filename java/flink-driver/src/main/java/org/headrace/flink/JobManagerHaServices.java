package org.headrace.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.blob.BlobStore;
import org.apache.flink.runtime.blob.BlobStoreService;
import org.apache.flink.runtime.blob.BlobUtils;
import org.apache.flink.runtime.checkpoint.CheckpointRecoveryFactory;
import org.apache.flink.runtime.highavailability.ApplicationResultStore;
import org.apache.flink.runtime.highavailability.FileSystemJobResultStore;
import org.apache.flink.runtime.highavailability.HighAvailabilityServices;
import org.apache.flink.runtime.highavailability.JobResultStore;
import org.apache.flink.runtime.jobmanager.ApplicationStore;
import org.apache.flink.runtime.jobmanager.ExecutionPlanStore;
import org.apache.flink.runtime.jobmanager.JobGraphStore;
import org.apache.flink.runtime.leaderelection.DefaultLeaderElectionService;
import org.apache.flink.runtime.leaderelection.LeaderElection;
import org.apache.flink.runtime.leaderelection.LeaderElectionDriver;
import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalService;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;

/**
 * What a JobManager needs to be followed by another: jobs, checkpoints, results and jars in files.
 *
 * <p>Whoever owns the directory leads everything, under a session of its own, so that TaskManagers
 * tell it from the one before.
 *
 * <p>It has the methods of each version of Flink; a version calls those that it knows.
 */
@SuppressWarnings("try") // Flink's close() may throw InterruptedException.
final class JobManagerHaServices implements HighAvailabilityServices {

    private final Configuration configuration;
    private final Executor executor;
    private final HaDirectory directory;
    private final LeaderBook book;
    private final LeaderServer server;
    private final BlobStoreService blobs;
    private final JobResultStore results;
    private final DefaultLeaderElectionService elections;

    JobManagerHaServices(
            Configuration configuration,
            Executor executor,
            HaDirectory directory,
            LeaderBook book,
            LeaderServer server)
            throws IOException {
        this.configuration = configuration;
        this.executor = executor;
        this.directory = directory;
        this.book = book;
        this.server = server;
        this.blobs = BlobUtils.createBlobStoreFromConfig(configuration);
        this.results = FileSystemJobResultStore.fromConfiguration(configuration, executor);
        this.elections =
                new DefaultLeaderElectionService(
                        listener -> {
                            listener.onGrantLeadership(UUID.randomUUID());
                            return new Owner(book);
                        });
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

    // jobs

    /** Flink 1. */
    @Override
    public JobGraphStore getJobGraphStore() {
        return JobGraphs.store(directory);
    }

    /** Flink 2. */
    public ExecutionPlanStore getExecutionPlanStore() {
        return ExecutionPlans.store(directory);
    }

    /** Since Flink 2.3. */
    public ApplicationStore getApplicationStore() {
        return Applications.store(directory);
    }

    /** Since Flink 2.3. */
    public ApplicationResultStore getApplicationResultStore() throws IOException {
        return Applications.results(configuration, executor);
    }

    @Override
    public JobResultStore getJobResultStore() {
        return results;
    }

    @Override
    public CheckpointRecoveryFactory getCheckpointRecoveryFactory() {
        return new FileCheckpointRecoveryFactory(directory);
    }

    @Override
    public BlobStore createBlobStore() {
        return blobs;
    }

    // leaders

    @Override
    public LeaderElection getResourceManagerLeaderElection() {
        return elections.createLeaderElection(LeaderBook.RESOURCE_MANAGER);
    }

    @Override
    public LeaderElection getDispatcherLeaderElection() {
        return elections.createLeaderElection(LeaderBook.DISPATCHER);
    }

    @Override
    public LeaderElection getJobManagerLeaderElection(JobID job) {
        return elections.createLeaderElection(LeaderBook.JOB_PREFIX + job);
    }

    @Override
    public LeaderElection getClusterRestEndpointLeaderElection() {
        return elections.createLeaderElection(LeaderBook.REST);
    }

    @Override
    public LeaderRetrievalService getResourceManagerLeaderRetriever() {
        return book.retriever(LeaderBook.RESOURCE_MANAGER);
    }

    @Override
    public LeaderRetrievalService getDispatcherLeaderRetriever() {
        return book.retriever(LeaderBook.DISPATCHER);
    }

    @Deprecated
    @Override
    public LeaderRetrievalService getJobManagerLeaderRetriever(JobID job) {
        return book.retriever(LeaderBook.JOB_PREFIX + job);
    }

    @Override
    public LeaderRetrievalService getJobManagerLeaderRetriever(JobID job, String address) {
        return book.retriever(LeaderBook.JOB_PREFIX + job);
    }

    @Override
    public LeaderRetrievalService getClusterRestEndpointLeaderRetriever() {
        return book.retriever(LeaderBook.REST);
    }

    // the end

    @Override
    public void close() throws Exception {
        // Closed from the last to the first, each even if one before could not be.
        try (HaDirectory owned = directory;
                LeaderBook told = book;
                LeaderServer telling = server;
                DefaultLeaderElectionService leading = elections) {
            blobs.close();
        }
    }

    @Override
    public void cleanupAllData() throws IOException {
        for (String folder :
                new String[] {
                    JobGraphs.FOLDER,
                    ExecutionPlans.FOLDER,
                    Applications.FOLDER,
                    FileCheckpointRecoveryFactory.JOBS
                }) {
            directory.deleteAll(directory.resolve(folder));
        }
        blobs.cleanupAllData();
    }

    @Override
    public CompletableFuture<Void> globalCleanupAsync(JobID job, Executor cleanup) {
        return CompletableFuture.runAsync(() -> forget(job), cleanup);
    }

    private void forget(JobID job) {
        try {
            directory.deleteAll(
                    directory.resolve(FileCheckpointRecoveryFactory.JOBS, job.toString()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
