package org.apache.flink.runtime.highavailability;

import org.apache.flink.configuration.Configuration;

import java.io.IOException;
import java.util.concurrent.Executor;

/** Since 2.3. */
public abstract class FileSystemApplicationResultStore implements ApplicationResultStore {
    public static native FileSystemApplicationResultStore fromConfiguration(
            Configuration configuration, Executor executor) throws IOException;
}
