#!/bin/sh
# Runs a Flink session cluster: mesos-appmaster.sh -Dmesos.master=host:port [-Dkey=value ...]
#
# Starts the application master and ends as it does. If it crashes or is killed, it is started again,
# while its JobManager and TaskManagers go on. After too many crashes in a row this ends too, and the JobManager
# with it; TaskManagers wait for whoever starts this again, for taskmanager.registration.timeout.
# Status 75 says that it can't start now while a JobManager may live: tried again for as long as it takes.
# Whenever this ends otherwise than in order, a JobManager that lives is ended: nobody would watch it any more.
# Status: 0 asked to stop or finished, 1 too many crashes, 2 configuration error, 3 Flink has ended the cluster as
# failed, 4 the JobManager can't be started.

python=$(dirname -- "$(readlink -f -- "$0")")/python  # a link to this may lie in Flink's bin/
[ -x "$python" ] || python=python3

export HEADRACE_APPMASTER_SCRIPT=$$ # so that nobody else takes what is ours while we start it again
most_crashes=5   # in a row, each within a minute of the start before
most_stops=5     # how often somebody is started to tear the cluster down
stopping=no
child=

stop() {
    stopping=yes
    pass_on
}

pass_on() {
    [ -z "$child" ] || kill -TERM "$child" 2>/dev/null
}
trap stop TERM INT HUP
# The application master says so that it hears signals from now on. Only just forked it still had this shell's
# handlers: what came then is lost.
trap '[ "$stopping" = no ] || pass_on' URG

# Waits for $child; sets $status. wait also returns for a signal to this shell: above 128, as for a child that a signal
# has ended. So it is asked once more even if the child is dead, as both may have come together; 127: told before.
await() {
    wait "$child"
    status=$?
    while [ "$status" -gt 128 ]; do
        kill -0 "$child" 2>/dev/null
        alive=$?
        wait "$child" 2>/dev/null
        again=$?
        [ "$again" -eq 127 ] || status=$again
        [ "$alive" -eq 0 ] && [ "$again" -ne 127 ] || break
    done
    child=
}

# Whether that is the end of the application master, and not of one process only.
ended() {
    [ "$status" -ne 1 ] && [ "$status" -ne 75 ] && [ "$status" -lt 128 ]
}

# Ends this, too. The cluster was torn down if it was stopped, its job is done or has failed.
leave() {
    [ "$status" -eq 0 ] || [ "$status" -eq 3 ] || "$python" -m headrace.flink.appmaster.last_resort
    exit "$status"
}

crashes=0
tries=0
while :; do
    started=$(date +%s)
    "$python" -m headrace.flink.appmaster "$@" &
    child=$!
    # A signal may have come between the check below and the start.
    [ "$stopping" = no ] || pass_on
    await
    ! ended || leave
    [ "$stopping" = no ] || break
    [ $(($(date +%s) - started)) -lt 60 ] || crashes=0 tries=0
    if [ "$status" -eq 75 ]; then
        tries=$((tries < 30 ? tries + 1 : 30))
        pause=$tries
    else
        crashes=$((crashes + 1))
        pause=$((crashes - 1))
    fi
    if [ "$crashes" -gt "$most_crashes" ]; then
        echo "mesos-appmaster.sh: the application master crashed $crashes times in a row (status $status); giving up" >&2
        status=1
        leave
    fi
    echo "mesos-appmaster.sh: the application master ended with status $status; starting it again" >&2
    # The first time at once, then with growing pauses.
    sleep "$pause" &
    wait $!
    [ "$stopping" = no ] || break
done

# Asked to stop while there was nobody to tear the cluster down: somebody comes for that alone.
export HEADRACE_APPMASTER_STOP=yes
stops=0
while [ "$stops" -lt "$most_stops" ]; do
    stops=$((stops + 1))
    "$python" -m headrace.flink.appmaster "$@" &
    child=$!
    await
    ! ended || leave
    sleep 0.2
done
leave
