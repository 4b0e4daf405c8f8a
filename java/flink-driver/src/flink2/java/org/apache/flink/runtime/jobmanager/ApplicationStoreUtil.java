package org.apache.flink.runtime.jobmanager;

import org.apache.flink.api.common.ApplicationID;

/** Since 2.3. */
public interface ApplicationStoreUtil {
    String applicationIdToName(ApplicationID application);

    ApplicationID nameToApplicationId(String name);
}
