package org.headrace.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.blob.BlobStore;
import org.apache.flink.runtime.blob.VoidBlobStore;
import org.apache.flink.runtime.checkpoint.CheckpointRecoveryFactory;
import org.apache.flink.runtime.highavailability.ApplicationResultStore;
import org.apache.flink.runtime.highavailability.HighAvailabilityServices;
import org.apache.flink.runtime.highavailability.JobResultStore;
import org.apache.flink.runtime.jobmanager.ApplicationStore;
import org.apache.flink.runtime.jobmanager.ExecutionPlanStore;
import org.apache.flink.runtime.jobmanager.JobGraphStore;
import org.apache.flink.runtime.leaderelection.LeaderElection;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalService;

/**
 * A TaskManager's side: it learns who leads, and keeps nothing.
 *
 * <p>Jars come from the JobManager, whose directory this machine may not see.
 */
@SuppressWarnings("try") // Flink's close() may throw InterruptedException.
final class TaskManagerHaServices implements HighAvailabilityServices {

    private final LeaderBook book;
    private final AutoCloseable client;

    TaskManagerHaServices(LeaderBook book, AutoCloseable client) {
        this.book = book;
        this.client = client;
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

    @Override
    public BlobStore createBlobStore() {
        return new VoidBlobStore();
    }

    @Override
    public void close() throws Exception {
        client.close();
        book.close();
    }

    /** Nothing: the JobManager's data is the JobManager's. */
    @Override
    public void cleanupAllData() {}

    @Override
    public LeaderElection getResourceManagerLeaderElection() {
        throw notHere();
    }

    @Override
    public LeaderElection getDispatcherLeaderElection() {
        throw notHere();
    }

    @Override
    public LeaderElection getJobManagerLeaderElection(JobID job) {
        throw notHere();
    }

    @Override
    public CheckpointRecoveryFactory getCheckpointRecoveryFactory() {
        throw notHere();
    }

    /** Flink 1. */
    @Override
    public JobGraphStore getJobGraphStore() {
        throw notHere();
    }

    /** Flink 2. */
    public ExecutionPlanStore getExecutionPlanStore() {
        throw notHere();
    }

    /** Since Flink 2.3. */
    public ApplicationStore getApplicationStore() {
        throw notHere();
    }

    /** Since Flink 2.3. */
    public ApplicationResultStore getApplicationResultStore() {
        throw notHere();
    }

    @Override
    public JobResultStore getJobResultStore() {
        throw notHere();
    }

    private static UnsupportedOperationException notHere() {
        return new UnsupportedOperationException("This is a TaskManager, which never leads.");
    }
}
