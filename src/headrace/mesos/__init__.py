"""The cluster manager: a Mesos-compatible master and agent, the messages, and a scheduler client."""
