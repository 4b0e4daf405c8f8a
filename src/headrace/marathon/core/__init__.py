"""The deciders: apps, deployments, rolling upgrades, launch queue, instances, matching, health, kills."""
