#!/bin/sh
# Stops the agents with their tasks, then the master, that MESOS_HOME/etc/mesos/masters and agents (or slaves) name:
# mesos-stop-cluster.sh [-s] [--keep-tasks] [--takeover] [--watch SECONDS]; -h tells more. Status 0 only if none is left.
python=$(dirname -- "$(readlink -f -- "$0")")/python
[ -x "$python" ] || python=python3
exec "$python" -m headrace.deploy stop "$@"
