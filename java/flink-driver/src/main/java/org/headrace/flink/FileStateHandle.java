package org.headrace.flink;

import org.apache.flink.runtime.state.RetrievableStateHandle;
import org.apache.flink.util.InstantiationUtil;

import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;

/** A Java-serialized object in a file. */
final class FileStateHandle<T extends Serializable> implements RetrievableStateHandle<T> {

    private static final long serialVersionUID = 1L;

    private final String file;

    FileStateHandle(Path file) {
        this.file = file.toString();
    }

    @Override
    public T retrieveState() throws IOException, ClassNotFoundException {
        return InstantiationUtil.deserializeObject(
                HaDirectory.read(Path.of(file)), Thread.currentThread().getContextClassLoader());
    }

    /** Nothing: the store removes the file, together with its name. */
    @Override
    public void discardState() {}

    @Override
    public long getStateSize() {
        try {
            return Files.size(Path.of(file));
        } catch (IOException e) {
            return 0;
        }
    }
}
