package org.apache.flink.streaming.api.graph;

import java.io.Serializable;

/** Since 2.0. */
public interface ExecutionPlan extends Serializable {}
