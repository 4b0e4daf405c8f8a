package org.apache.flink.core.execution;

/** Since 2.0, where 1.x has RestoreMode. */
public enum RecoveryClaimMode {}
