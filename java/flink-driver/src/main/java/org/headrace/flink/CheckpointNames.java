package org.headrace.flink;

import org.apache.flink.runtime.checkpoint.CheckpointStoreUtil;

import java.util.Locale;

/** What files of checkpoints are called: their ids, so that sorting the names sorts checkpoints. */
enum CheckpointNames implements CheckpointStoreUtil {
    INSTANCE;

    @Override
    public String checkpointIDToName(long checkpoint) {
        return String.format(Locale.ROOT, "%019d", checkpoint);
    }

    @Override
    public long nameToCheckpointID(String name) {
        try {
            return Long.parseLong(name);
        } catch (NumberFormatException e) {
            return INVALID_CHECKPOINT_ID;
        }
    }
}
