"""Frameworks and executors written for Mesos, which run here as they are."""
