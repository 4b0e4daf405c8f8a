package org.headrace.flink;

import org.apache.flink.api.common.ApplicationID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.highavailability.ApplicationResultStore;
import org.apache.flink.runtime.highavailability.FileSystemApplicationResultStore;
import org.apache.flink.runtime.jobmanager.ApplicationStore;
import org.apache.flink.runtime.jobmanager.ApplicationStoreUtil;
import org.apache.flink.runtime.jobmanager.DefaultApplicationStore;

import java.io.IOException;
import java.util.concurrent.Executor;

/** What Flink keeps since 2.3 of a program that was submitted, and of how it has ended. */
final class Applications {

    static final String FOLDER = "applications";

    private enum Names implements ApplicationStoreUtil {
        INSTANCE;

        @Override
        public String applicationIdToName(ApplicationID application) {
            return application.toString();
        }

        @Override
        public ApplicationID nameToApplicationId(String name) {
            return ApplicationID.fromHexString(name);
        }
    }

    private Applications() {}

    static ApplicationStore store(HaDirectory directory) {
        return new DefaultApplicationStore<>(
                new FileStateHandleStore<>(directory, directory.resolve(FOLDER)), Names.INSTANCE);
    }

    static ApplicationResultStore results(Configuration configuration, Executor executor)
            throws IOException {
        return FileSystemApplicationResultStore.fromConfiguration(configuration, executor);
    }
}
