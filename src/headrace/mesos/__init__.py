"""The cluster manager: a Mesos-compatible master and agent, the messages, and a scheduler client."""

MESOS_VERSION = "1.11.0"
"""What master and agent say that they are: the version whose APIs they speak, since clients compare it."""
