#!/bin/sh
# Runs a Flink cluster for one job, and ends with it:
#
#   mesos-appmaster-job.sh -Dmesos.master=host:port -Dinternal.jobgraph-path=FILE [-Dkey=value ...]
#   mesos-appmaster-job.sh -Dmesos.master=host:port -Dheadrace.job.jar=FILE [-Dheadrace.job.class=NAME ...]
#   mesos-appmaster-job.sh -Dmesos.master=host:port -Dheadrace.job.sql=FILE [-Dkey=value ...]
#
# Status: 0 the job has finished or was cancelled, 3 it has failed, 2 configuration error; see mesos-appmaster.sh.
exec "$(dirname -- "$(readlink -f -- "$0")")/mesos-appmaster.sh" -Dheadrace.cluster.type=job "$@"
