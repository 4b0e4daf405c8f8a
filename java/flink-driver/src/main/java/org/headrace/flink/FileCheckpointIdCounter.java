package org.headrace.flink;

import org.apache.flink.api.common.JobStatus;
import org.apache.flink.runtime.checkpoint.CheckpointIDCounter;
import org.apache.flink.util.concurrent.FutureUtils;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;

/** The number of a job's next checkpoint, in a file: written before a number is given out. */
final class FileCheckpointIdCounter implements CheckpointIDCounter {

    private final HaDirectory directory;
    private final Path file;
    private long next = INITIAL_CHECKPOINT_ID;

    FileCheckpointIdCounter(HaDirectory directory, Path file) {
        this.directory = directory;
        this.file = file;
    }

    @Override
    public synchronized void start() throws IOException {
        try {
            next = Long.parseLong(new String(HaDirectory.read(file), StandardCharsets.UTF_8));
        } catch (FileNotFoundException e) {
            next = INITIAL_CHECKPOINT_ID;
        } catch (NumberFormatException e) {
            throw new IOException(file + " holds no number", e);
        }
    }

    @Override
    public synchronized CompletableFuture<Void> shutdown(JobStatus status) {
        try {
            if (status.isGloballyTerminalState()) {
                directory.delete(file);
            }
            return FutureUtils.completedVoidFuture();
        } catch (IOException e) {
            return FutureUtils.completedExceptionally(e);
        }
    }

    @Override
    public synchronized long getAndIncrement() throws IOException {
        setCount(next + 1);
        return next - 1;
    }

    @Override
    public synchronized long get() {
        return next;
    }

    @Override
    public synchronized void setCount(long count) throws IOException {
        directory.write(file, HaDirectory.bytes(Long.toString(count)));
        next = count;
    }
}
