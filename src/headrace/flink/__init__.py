"""Real Flink on Mesos: the application master, and what it needs to know about Flink and Java."""
