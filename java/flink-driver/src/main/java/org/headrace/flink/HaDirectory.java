package org.headrace.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.apache.flink.runtime.highavailability.HighAvailabilityServicesUtils;

import org.slf4j.Logger;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.UUID;

/**
 * The directory in which a JobManager keeps what its successor needs.
 *
 * <p>One JobManager owns it at a time, by a lock on the file {@code lock} that the kernel takes back
 * when the process ends, however it ends; the next one waits for it. Each owner is a generation,
 * numbered in the file {@code generation}: an owner whose lock was lost (a network file system may
 * do that) writes nothing any more once there is a later one. A file is written whole or not at all,
 * and is on the disk when its writing returns.
 *
 * <p>It must lie on a file system with locks and atomic renames: a local one, or NFS.
 */
final class HaDirectory implements AutoCloseable {

    private static final String LOCK = "lock";
    private static final String GENERATION = "generation";
    private static final String IDENTITY = "identity";
    private static final String TEMPORARY = ".new";

    private final Path root;
    private final FileChannel lockFile;
    private final long generation;
    private final String identity;

    private HaDirectory(Path root, FileChannel lockFile) throws IOException {
        this.root = root;
        this.lockFile = lockFile;
        this.generation = readGeneration(root) + 1;
        replace(root.resolve(GENERATION), bytes(Long.toString(generation)));
        if (!Files.exists(root.resolve(IDENTITY))) {
            replace(root.resolve(IDENTITY), bytes(UUID.randomUUID().toString()));
        }
        this.identity = Files.readString(root.resolve(IDENTITY));
    }

    /** Where the cluster's directory is; throws if it can't be one. */
    static Path locate(Configuration configuration) {
        org.apache.flink.core.fs.Path path =
                HighAvailabilityServicesUtils.getClusterHighAvailableStoragePath(configuration);
        String scheme = path.toUri().getScheme();
        if (scheme != null && !scheme.equals("file")) {
            throw new IllegalConfigurationException(
                    String.format(
                            "%s is %s, but jobs are kept in files of a local or NFS directory."
                                    + " Give such a directory, or use ZooKeeper:"
                                    + " high-availability.type: zookeeper.",
                            HighAvailabilityOptions.HA_STORAGE_PATH.key(), path));
        }
        return Path.of(path.getPath());
    }

    /** Becomes the owner; waits for as long as another process is. */
    static HaDirectory open(Path root, Logger log) throws IOException {
        if (!Files.exists(root)) {
            // Graphs of jobs may hold what is secret: it is for this user alone.
            Files.createDirectories(root.toAbsolutePath().getParent());
            Files.createDirectories(
                    root,
                    PosixFilePermissions.asFileAttribute(
                            PosixFilePermissions.fromString("rwx------")));
        }
        FileChannel lockFile =
                FileChannel.open(
                        root.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            FileLock lock = lockFile.tryLock();
            if (lock == null) {
                log.warn("Another JobManager holds {}; waiting for its end.", root);
                lockFile.lock();
            }
            HaDirectory directory = new HaDirectory(root, lockFile);
            log.info("Owner of {}, generation {}.", root, directory.generation);
            return directory;
        } catch (IOException | RuntimeException e) {
            lockFile.close();
            throw e;
        }
    }

    /** Tells this directory from any other. */
    String identity() {
        return identity;
    }

    long generation() {
        return generation;
    }

    Path resolve(String... names) {
        Path path = root;
        for (String name : names) {
            path = path.resolve(name);
        }
        return path;
    }

    boolean exists(Path file) {
        return Files.exists(file);
    }

    /** Throws {@link FileNotFoundException} if it is not there. */
    static byte[] read(Path file) throws IOException {
        try {
            return Files.readAllBytes(file);
        } catch (NoSuchFileException e) {
            throw new FileNotFoundException(file.toString());
        }
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    void write(Path file, byte[] content) throws IOException {
        checkOwner();
        Files.createDirectories(file.getParent());
        replace(file, content);
    }

    void delete(Path file) throws IOException {
        checkOwner();
        Files.deleteIfExists(file);
    }

    /** The names in a directory, sorted; none if there is no such directory. */
    List<String> list(Path directory) throws IOException {
        List<String> names = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
            for (Path entry : entries) {
                String name = entry.getFileName().toString();
                if (!name.endsWith(TEMPORARY)) {
                    names.add(name);
                }
            }
        } catch (NoSuchFileException e) {
            return names;
        }
        Collections.sort(names);
        return names;
    }

    /** Deletes a directory and all below it; nothing to do if it is not there. */
    void deleteAll(Path directory) throws IOException {
        checkOwner();
        if (!Files.exists(directory)) {
            return;
        }
        Files.walkFileTree(
                directory,
                new SimpleFileVisitor<Path>() {
                    @Override
                    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                            throws IOException {
                        Files.deleteIfExists(file);
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult postVisitDirectory(Path visited, IOException error)
                            throws IOException {
                        if (error != null) {
                            throw error;
                        }
                        Files.deleteIfExists(visited);
                        return FileVisitResult.CONTINUE;
                    }
                });
    }

    @Override
    public void close() throws IOException {
        lockFile.close();
    }

    private void checkOwner() throws IOException {
        long now = readGeneration(root);
        if (now != generation) {
            throw new IOException(
                    String.format(
                            "This JobManager (generation %d) no longer owns %s: there is"
                                    + " generation %d.",
                            generation, root, now));
        }
    }

    private static long readGeneration(Path root) throws IOException {
        try {
            return Long.parseLong(Files.readString(root.resolve(GENERATION)));
        } catch (NoSuchFileException e) {
            return 0;
        } catch (NumberFormatException e) {
            throw new IOException(root.resolve(GENERATION) + " holds no number", e);
        }
    }

    private void replace(Path file, byte[] content) throws IOException {
        Path fresh = file.resolveSibling(file.getFileName() + TEMPORARY);
        try (FileChannel channel =
                FileChannel.open(
                        fresh,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING,
                        StandardOpenOption.WRITE)) {
            ByteBuffer rest = ByteBuffer.wrap(content);
            while (rest.hasRemaining()) {
                channel.write(rest);
            }
            channel.force(true);
        }
        Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
        // The new name is on the disk only when the directory is.
        try (FileChannel parent = FileChannel.open(file.getParent(), StandardOpenOption.READ)) {
            parent.force(true);
        }
    }
}
