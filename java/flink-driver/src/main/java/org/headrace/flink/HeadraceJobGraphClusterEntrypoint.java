package org.headrace.flink;

/**
 * The main class of a JobManager for one job, whose graph is in a file; it ends with the job.
 *
 * <p>Flink 2 has no job cluster of this kind any more, so there it is a session that does the same.
 */
public final class HeadraceJobGraphClusterEntrypoint {

    private HeadraceJobGraphClusterEntrypoint() {}

    public static void main(String[] args) throws Exception {
        if (hasJobClusters()) {
            JobGraphCluster.main(args);
        } else {
            JobGraphSession.main(args);
        }
    }

    private static boolean hasJobClusters() {
        try {
            Class.forName("org.apache.flink.runtime.entrypoint.JobClusterEntrypoint");
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }
}
