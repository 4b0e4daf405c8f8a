package org.headrace.flink;

import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

import org.slf4j.Logger;

/** Plans a trivial query once, so that the first SQL job finds the planner's classes loaded. */
final class PlannerWarmUp {

    private PlannerWarmUp() {}

    static void start(Logger log) {
        Thread thread = new Thread(() -> run(log), "headrace-sql-warm-up");
        thread.setDaemon(true);
        thread.setPriority(Thread.MIN_PRIORITY);
        thread.start();
    }

    private static void run(Logger log) {
        long start = System.nanoTime();
        try {
            TableEnvironment tables =
                    TableEnvironment.create(
                            EnvironmentSettings.newInstance().inStreamingMode().build());
            tables.executeSql(
                    "CREATE TABLE a (k STRING, n BIGINT) WITH ('connector' = 'datagen')");
            tables.executeSql(
                    "CREATE TABLE b (k STRING, n BIGINT) WITH ('connector' = 'blackhole')");
            tables.explainSql(
                    "INSERT INTO b SELECT UPPER(k), SUM(n) FROM a WHERE n > 1 GROUP BY UPPER(k)");
            long millis = (System.nanoTime() - start) / 1_000_000;
            log.info("The SQL planner is warm after {} ms.", millis);
        } catch (Exception | LinkageError e) {
            // Without the table jars there is nothing to warm up; the JobManager must not care.
            log.info("The SQL planner could not be warmed up: {}", e.toString());
        }
    }
}
