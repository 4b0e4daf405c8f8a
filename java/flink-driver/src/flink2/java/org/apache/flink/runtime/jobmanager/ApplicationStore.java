package org.apache.flink.runtime.jobmanager;

/** Since 2.3. */
public interface ApplicationStore {}
