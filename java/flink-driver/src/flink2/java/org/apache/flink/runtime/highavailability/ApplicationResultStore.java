package org.apache.flink.runtime.highavailability;

/** Since 2.3. */
public interface ApplicationResultStore {}
