package org.headrace.flink;

import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.runtime.persistence.IntegerResourceVersion;
import org.apache.flink.runtime.persistence.PossibleInconsistentStateException;
import org.apache.flink.runtime.persistence.StateHandleStore;
import org.apache.flink.runtime.state.RetrievableStateHandle;
import org.apache.flink.util.InstantiationUtil;

import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

/**
 * Objects by name, one file each.
 *
 * <p>The names need no locks of their own, which the interface is made for: the whole directory has
 * one owner.
 */
final class FileStateHandleStore<T extends Serializable>
        implements StateHandleStore<T, IntegerResourceVersion> {

    private final HaDirectory directory;
    private final Path folder;

    FileStateHandleStore(HaDirectory directory, Path folder) {
        this.directory = directory;
        this.folder = folder;
    }

    @Override
    public RetrievableStateHandle<T> addAndLock(String name, T state) throws Exception {
        if (directory.exists(file(name))) {
            throw new AlreadyExistException(file(name) + " exists already.");
        }
        write(name, state);
        return new FileStateHandle<>(file(name));
    }

    @Override
    public void replace(String name, IntegerResourceVersion version, T state) throws Exception {
        if (!directory.exists(file(name))) {
            throw new NotExistException(file(name) + " does not exist.");
        }
        write(name, state);
    }

    @Override
    public IntegerResourceVersion exists(String name) {
        return directory.exists(file(name))
                ? IntegerResourceVersion.valueOf(0)
                : IntegerResourceVersion.notExisting();
    }

    @Override
    public RetrievableStateHandle<T> getAndLock(String name) throws Exception {
        if (!directory.exists(file(name))) {
            throw new NotExistException(file(name) + " does not exist.");
        }
        return new FileStateHandle<>(file(name));
    }

    @Override
    public List<Tuple2<RetrievableStateHandle<T>, String>> getAllAndLock() throws IOException {
        List<Tuple2<RetrievableStateHandle<T>, String>> all = new ArrayList<>();
        for (String name : directory.list(folder)) {
            all.add(Tuple2.of(new FileStateHandle<>(file(name)), name));
        }
        return all;
    }

    @Override
    public Collection<String> getAllHandles() throws IOException {
        return directory.list(folder);
    }

    @Override
    public boolean releaseAndTryRemove(String name) throws IOException {
        directory.delete(file(name));
        return true;
    }

    @Override
    public void clearEntries() throws IOException {
        for (String name : directory.list(folder)) {
            directory.delete(file(name));
        }
    }

    @Override
    public void release(String name) {}

    @Override
    public void releaseAll() {}

    @Override
    public String toString() {
        return folder.toString();
    }

    private Path file(String name) {
        if (name.isEmpty() || name.startsWith(".") || name.indexOf('/') >= 0) {
            throw new IllegalArgumentException("not a name of a file: " + name);
        }
        return folder.resolve(name);
    }

    private void write(String name, T state) throws Exception {
        byte[] content = InstantiationUtil.serializeObject(state);
        try {
            directory.write(file(name), content);
        } catch (IOException e) {
            // It may be there all the same, so nobody may delete what it refers to.
            throw new PossibleInconsistentStateException(e);
        }
    }
}
