package org.apache.flink.runtime.jobmanager;

import org.apache.flink.runtime.persistence.ResourceVersion;
import org.apache.flink.runtime.persistence.StateHandleStore;

/** Since 2.3. */
public class DefaultApplicationStore<R extends ResourceVersion<R>> implements ApplicationStore {
    public DefaultApplicationStore(
            StateHandleStore<ApplicationStoreEntry, R> store, ApplicationStoreUtil names) {}
}
