package org.headrace.flink;

import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.apache.flink.runtime.persistence.StateHandleStore;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What is kept in files: whole, by one owner, and found again by the next. */
public final class HaDirectoryTest {

    private static final Logger LOG = LoggerFactory.getLogger(HaDirectoryTest.class);

    private final Path root = Files.createTempDirectory("ha-directory");

    private HaDirectoryTest() throws IOException {}

    private interface Test {
        void run() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        HaDirectoryTest it = new HaDirectoryTest();
        for (Test test :
                List.<Test>of(
                        it::generations,
                        it::onlyTheLatestOwnerWrites,
                        it::filesAreFoundAgain,
                        it::halfWrittenFilesAreNotSeen,
                        it::stateHandles,
                        it::namesStayInTheirFolder,
                        it::counter,
                        HaDirectoryTest::otherFileSystemsAreRefused)) {
            try (HaDirectory directory = it.open()) {
                directory.deleteAll(it.root.resolve("things"));
            }
            test.run();
        }
        try (HaDirectory directory = it.open()) {
            directory.deleteAll(it.root);
        }
    }

    private HaDirectory open() throws IOException {
        return HaDirectory.open(root, LOG);
    }

    private void generations() throws Exception {
        long first;
        String identity;
        try (HaDirectory directory = open()) {
            first = directory.generation();
            identity = directory.identity();
        }
        try (HaDirectory directory = open()) {
            equal(first + 1, directory.generation());
            equal(identity, directory.identity());
        }
    }

    /** As if a network file system had given the lock to another. */
    private void onlyTheLatestOwnerWrites() throws Exception {
        Path file = root.resolve("things").resolve("one");
        HaDirectory old = open();
        old.write(file, HaDirectory.bytes("old"));
        old.close();
        try (HaDirectory directory = open()) {
            throwsIt(IOException.class, () -> old.write(file, HaDirectory.bytes("late")));
            throwsIt(IOException.class, () -> old.delete(file));
            throwsIt(IOException.class, () -> old.deleteAll(root));
            equal("old", Files.readString(file));
            directory.write(file, HaDirectory.bytes("new"));
        }
        equal("new", Files.readString(file));
    }

    private void filesAreFoundAgain() throws Exception {
        Path folder = root.resolve("things");
        try (HaDirectory directory = open()) {
            equal(List.of(), directory.list(folder));
            directory.write(folder.resolve("b"), HaDirectory.bytes("2"));
            directory.write(folder.resolve("a"), HaDirectory.bytes("1"));
        }
        try (HaDirectory directory = open()) {
            equal(List.of("a", "b"), directory.list(folder));
            directory.delete(folder.resolve("a"));
            directory.delete(folder.resolve("a"));
            equal(List.of("b"), directory.list(folder));
            throwsIt(FileNotFoundException.class, () -> HaDirectory.read(folder.resolve("a")));
        }
    }

    private void halfWrittenFilesAreNotSeen() throws Exception {
        Path folder = Files.createDirectories(root.resolve("things"));
        Files.writeString(folder.resolve("a.new"), "hal");
        try (HaDirectory directory = open()) {
            equal(List.of(), directory.list(folder));
            directory.write(folder.resolve("a"), HaDirectory.bytes("whole"));
        }
        equal("whole", Files.readString(folder.resolve("a")));
    }

    private void stateHandles() throws Exception {
        try (HaDirectory directory = open()) {
            FileStateHandleStore<String> store = store(directory);
            store.addAndLock("9", "nine");
            throwsIt(
                    StateHandleStore.AlreadyExistException.class,
                    () -> store.addAndLock("9", "again"));
            throwsIt(
                    StateHandleStore.NotExistException.class,
                    () -> store.replace("8", store.exists("8"), "eight"));
            throwsIt(StateHandleStore.NotExistException.class, () -> store.getAndLock("8"));
            store.addAndLock("10", "ten");
            store.replace("10", store.exists("10"), "TEN");
        }
        try (HaDirectory directory = open()) {
            FileStateHandleStore<String> store = store(directory);
            List<String> all = new ArrayList<>();
            store.getAllAndLock().forEach(pair -> all.add(pair.f1));
            equal(List.of("10", "9"), all);
            equal("TEN", store.getAndLock("10").retrieveState());
            equal(true, store.releaseAndTryRemove("10"));
            equal(false, store.exists("10").isExisting());
            store.clearEntries();
            equal(List.of(), List.copyOf(store.getAllHandles()));
        }
    }

    private void namesStayInTheirFolder() throws Exception {
        try (HaDirectory directory = open()) {
            FileStateHandleStore<String> store = store(directory);
            for (String name : List.of("/etc/x", "../x", "a/b", "", ".hidden")) {
                throwsIt(IllegalArgumentException.class, () -> store.addAndLock(name, "x"));
            }
        }
        CheckpointNames names = CheckpointNames.INSTANCE;
        equal(7L, names.nameToCheckpointID(names.checkpointIDToName(7)));
        equal(-1L, names.nameToCheckpointID("seven"));
    }

    private void counter() throws Exception {
        Path file = root.resolve("things").resolve("counter");
        try (HaDirectory directory = open()) {
            FileCheckpointIdCounter counter = new FileCheckpointIdCounter(directory, file);
            counter.start();
            equal(1L, counter.getAndIncrement());
            equal(2L, counter.getAndIncrement());
            counter.shutdown(JobStatus.SUSPENDED).get();
        }
        try (HaDirectory directory = open()) {
            FileCheckpointIdCounter counter = new FileCheckpointIdCounter(directory, file);
            counter.start();
            equal(3L, counter.get());
            counter.setCount(10);
            equal(10L, counter.getAndIncrement());
            counter.shutdown(JobStatus.FINISHED).get();
            equal(false, Files.exists(file));
        }
    }

    private static void otherFileSystemsAreRefused() throws Exception {
        Configuration configuration = new Configuration();
        configuration.set(HighAvailabilityOptions.HA_CLUSTER_ID, "one");
        configuration.set(HighAvailabilityOptions.HA_STORAGE_PATH, "s3://bucket/ha");
        throwsIt(
                IllegalConfigurationException.class, () -> HaDirectory.locate(configuration));
        for (String path : List.of("/data/ha", "file:///data/ha")) {
            configuration.set(HighAvailabilityOptions.HA_STORAGE_PATH, path);
            equal(Path.of("/data/ha/one"), HaDirectory.locate(configuration));
        }
    }

    private FileStateHandleStore<String> store(HaDirectory directory) {
        return new FileStateHandleStore<>(directory, root.resolve("things"));
    }

    private static void throwsIt(Class<? extends Exception> expected, Test test) {
        try {
            test.run();
        } catch (Exception e) {
            if (expected.isInstance(e)) {
                return;
            }
            throw new AssertionError("another exception", e);
        }
        throw new AssertionError("no " + expected.getSimpleName());
    }

    private static void equal(Object expected, Object actual) {
        if (!expected.equals(actual)) {
            throw new AssertionError("expected " + expected + ", got " + actual);
        }
    }
}
