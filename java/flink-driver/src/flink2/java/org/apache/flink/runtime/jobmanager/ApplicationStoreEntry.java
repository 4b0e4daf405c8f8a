package org.apache.flink.runtime.jobmanager;

import java.io.Serializable;

/** Since 2.3. */
public interface ApplicationStoreEntry extends Serializable {}
