#!/bin/sh
# Starts the master and the agents that MESOS_HOME/etc/mesos/masters and agents (or slaves) name, by ssh:
# mesos-start-cluster.sh [-s] [--takeover] [--watch SECONDS]; -h tells more. Status 0 only if all of them answer.
python=$(dirname -- "$(readlink -f -- "$0")")/python
[ -x "$python" ] || python=python3
exec "$python" -m headrace.deploy start "$@"
