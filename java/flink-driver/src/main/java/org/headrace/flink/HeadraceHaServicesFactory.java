package org.headrace.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.runtime.highavailability.HighAvailabilityServices;
import org.apache.flink.runtime.highavailability.HighAvailabilityServicesFactory;
import org.apache.flink.util.FatalExitExceptionHandler;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.FileNotFoundException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.Executor;

/**
 * High availability without a ZooKeeper: {@code high-availability.type} is this class's name.
 *
 * <p>The JobManager keeps everything in files below {@code high-availability.storageDir} and tells
 * TaskManagers who leads.
 */
public final class HeadraceHaServicesFactory implements HighAvailabilityServicesFactory {

    private static final Logger LOG = LoggerFactory.getLogger(HeadraceHaServicesFactory.class);

    /** The file below the cluster's directory that says where TaskManagers are told of leaders. */
    private static final String LEADERS = "leaders";

    @Override
    public HighAvailabilityServices createHAServices(Configuration configuration, Executor executor)
            throws Exception {
        return configuration.contains(HeadraceOptions.DRIVER_URL)
                ? ofJobManager(configuration, executor)
                : ofTaskManager(configuration);
    }

    /** Adds to the configuration what TaskManagers have to be given. */
    private static HighAvailabilityServices ofJobManager(
            Configuration configuration, Executor executor) throws Exception {
        HaDirectory directory = HaDirectory.open(HaDirectory.locate(configuration), LOG);
        LeaderBook book = new LeaderBook();
        String bind = configuration.get(JobManagerOptions.BIND_HOST);
        String host = configuration.get(JobManagerOptions.ADDRESS);
        LeaderServer server =
                new LeaderServer(
                        LOG,
                        book,
                        directory,
                        new InetSocketAddress(bind == null ? host : bind, earlierPort(directory)),
                        HeadraceHaServicesFactory::endProcess);
        LeaderContact contact =
                new LeaderContact(host + ":" + server.port(), directory.identity());
        directory.write(directory.resolve(LEADERS), HaDirectory.bytes(contact.toString()));
        configuration.set(HeadraceOptions.LEADERS, contact.toString());
        return new JobManagerHaServices(configuration, executor, directory, book, server);
    }

    private static HighAvailabilityServices ofTaskManager(Configuration configuration) {
        LeaderBook book = new LeaderBook();
        Path file = HaDirectory.locate(configuration).resolve(LEADERS);
        LeaderContact contact = LeaderContact.parse(configuration.get(HeadraceOptions.LEADERS));
        return new TaskManagerHaServices(book, new LeaderClient(LOG, book, contact, file));
    }

    /** The application master starts another JobManager, which goes on with the jobs. */
    private static void endProcess(Throwable error) {
        FatalExitExceptionHandler.INSTANCE.uncaughtException(Thread.currentThread(), error);
    }

    private static int earlierPort(HaDirectory directory) throws Exception {
        try {
            byte[] text = HaDirectory.read(directory.resolve(LEADERS));
            return LeaderContact.parse(new String(text, StandardCharsets.UTF_8)).port();
        } catch (FileNotFoundException e) {
            return 0;
        }
    }
}
