package org.headrace.flink;

import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;

import java.time.Duration;

/** The options that the application master sets for its JobManager. */
public final class HeadraceOptions {

    public static final ConfigOption<String> DRIVER_URL =
            ConfigOptions.key("headrace.driver.url")
                    .stringType()
                    .noDefaultValue()
                    .withDescription("Base URL of the application master for the driver.");

    public static final ConfigOption<String> DRIVER_TOKEN_FILE =
            ConfigOptions.key("headrace.driver.token-file")
                    .stringType()
                    .noDefaultValue()
                    .withDescription("File with the bearer token for the application master.");

    public static final ConfigOption<Duration> DRIVER_ATTACH_TIMEOUT =
            ConfigOptions.key("headrace.driver.attach-timeout")
                    .durationType()
                    .defaultValue(Duration.ofSeconds(60))
                    .withDescription(
                            "How long a starting JobManager waits for the application master"
                                    + " before it gives up.");

    public static final ConfigOption<Double> TASK_MANAGER_CPUS =
            ConfigOptions.key("headrace.taskmanager.cpus")
                    .doubleType()
                    .defaultValue(0.0)
                    .withDescription(
                            "CPUs of a TaskManager where taskmanager.cpu.cores is not set;"
                                    + " 0 takes one per slot.");

    public static final ConfigOption<String> RPC_PORTS =
            ConfigOptions.key("headrace.rpc.ports")
                    .stringType()
                    .defaultValue("0")
                    .withDescription("Port or ports of the JobManager's RPC; 0 takes a free one.");

    public static final ConfigOption<Boolean> SQL_WARM_UP =
            ConfigOptions.key("headrace.sql.warm-up")
                    .booleanType()
                    .defaultValue(false)
                    .withDescription(
                            "Plan a trivial script after the start, so that the first SQL job"
                                    + " is planned sooner.");

    public static final ConfigOption<String> LEADERS =
            ConfigOptions.key("headrace.leaders")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "Where TaskManagers are told of leaders: host:port/cluster."
                                    + " The JobManager gives it to those that it starts.");

    public static final ConfigOption<String> JOB_JAR =
            ConfigOptions.key("headrace.job.jar")
                    .stringType()
                    .noDefaultValue()
                    .withDescription("Job cluster: the jar with the job's main class.");

    public static final ConfigOption<String> JOB_CLASS =
            ConfigOptions.key("headrace.job.class")
                    .stringType()
                    .noDefaultValue()
                    .withDescription("Job cluster: the main class; else the jar's manifest says.");

    public static final ConfigOption<String> JOB_ARGUMENTS_FILE =
            ConfigOptions.key("headrace.job.arguments-file")
                    .stringType()
                    .noDefaultValue()
                    .withDescription(
                            "Job cluster: a file with the main method's arguments, a JSON list.");

    private HeadraceOptions() {}
}
