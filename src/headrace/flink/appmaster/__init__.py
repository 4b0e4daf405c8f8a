"""The application master: one Flink cluster's scheduler, artifact server and keeper of its JobManager."""
