package org.headrace.flink;

import org.apache.flink.runtime.clusterframework.types.ResourceID;
import org.apache.flink.runtime.clusterframework.types.ResourceIDRetrievable;

/** A TaskManager that runs as a task of the cluster; its resource id is the task id. */
public final class HeadraceWorker implements ResourceIDRetrievable {

    private final ResourceID id;

    HeadraceWorker(String id) {
        this.id = new ResourceID(id);
    }

    @Override
    public ResourceID getResourceID() {
        return id;
    }

    @Override
    public String toString() {
        return id.getResourceIdString();
    }
}
