"""The options of the application master: one table, the ``-D`` grammar, older names, and what wins over what.

Options come from the command line (``-Dkey=value``) and from Flink's configuration files; the
command line wins. What the table does not know belongs to Flink and is handed on unchanged, but a
``mesos.*`` or ``headrace.*`` key that nobody knows is an error, because nobody else would say so.

Source of names, defaults and meanings: Flink's documentation of 1.2 to 1.13.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from headrace.kernel.daemon import UserError

FlinkOptions = dict[str, str]
"""Keys and values as Flink's own configuration has them: all text."""


class Option(msgspec.Struct, frozen=True):
    """One option: its name, the older names that are read too, what it is and does.

    ``default`` is shown to people; None means that there is none. ``refused`` says why an option of the original
    is not supported; the application master refuses to start with it.
    """

    name: str
    about: str
    default: str | None = None
    aliases: tuple[str, ...] = ()
    refused: str = ""

    @property
    def supported(self) -> bool:
        return not self.refused


_RM = "mesos.resourcemanager."
_TASKS = _RM + "tasks."
_CONTAINER = _TASKS + "container."
_SERVER = "headrace.artifactserver."
_RULES = "headrace.constraints."
_SSL = "security.ssl."
_STORE = "A store of keys or certificates; its file is shipped to TaskManagers."

TABLE: tuple[Option, ...] = (
    Option("mesos.master", "The Mesos master: host:port, http://host:port, zk://host:port,…/path of the masters' "
           "election, or file:///path of a file that says it. Not set: $HEADRACE_MASTER, which `headrace up` sets."),
    Option("mesos.initial-tasks", "TaskManagers that are there without any job.", "0"),
    Option("mesos.maximum-failed-tasks", "The cluster ends when more TaskManagers have failed; -1: never.", "-1"),
    Option("mesos.failover-timeout", "Seconds that TaskManagers outlive a lost application master.",
           "300, or 60 without high availability"),
    Option(_RM + "framework.name", "The framework's name in Mesos.", "Flink"),
    Option(_RM + "framework.role", "The framework's role; resources reserved for it are used first.", "*"),
    Option(_RM + "framework.user", "Who runs the tasks; empty: the user of this process.", ""),
    Option(_RM + "framework.principal", "The framework's principal; with a secret, as whom it logs in."),
    Option(_RM + "framework.secret", "The principal's secret, sent to the master by HTTP Basic authentication."),
    Option("headrace.framework.secret-file", "A file with that secret, which then stands on no command line."),
    Option(_RM + "artifactserver.port", "Port of the artifact server; 0 takes a free one.", "0"),
    Option(_RM + "artifactserver.ssl.enabled", "TLS for artifacts, if there is a certificate.", "true"),
    Option(_SERVER + "ssl.certificate", "PEM file with the artifact server's certificate chain."),
    Option(_SERVER + "ssl.key", "PEM file with its key; not set: in the certificate's file."),
    Option(_SERVER + "bind-host", "Address that the artifact server listens on; not set: jobmanager.rpc.address."),
    Option(_SERVER + "address", "host or host:port under which agents reach it; not set: as it listens."),
    Option(_RM + "declined-offer-refuse-duration", "How long a useless offer stays away, in ms.", "120000"),
    Option(
        _RM + "unused-offer-expiration",
        "How long unused offers are kept, in ms.",
        refused="offers are never kept: what is not used of one is given back at once",
    ),
    Option(_TASKS + "cpus", "CPUs of one TaskManager; 0 takes one per slot.", "0.0"),
    Option(_TASKS + "mem", "Memory of one TaskManager's task, in MiB.", "1024"),
    Option(_TASKS + "disk", "Disk of one TaskManager, in MiB.", "0"),
    Option(_TASKS + "gpus", "GPUs of one TaskManager; makes the framework GPU_RESOURCES capable.", "0"),
    Option(_TASKS + "network.bandwidth", "Network bandwidth of one TaskManager, in the agents' unit.", "0"),
    Option(_RM + "network.resource.name", "Name of the agents' resource for it.", "network"),
    Option(_TASKS + "hostname", "Name under which a TaskManager is reached; _TASK_ in it becomes its id."),
    Option(_TASKS + "port-assignments", "Flink options, separated by commas, that get a port of the offer each."),
    Option(_TASKS + "bootstrap-cmd", "Shell command that runs first in each TaskManager's task."),
    Option(_TASKS + "taskmanager-cmd", "Shell command that is the TaskManager; Flink's -D options are appended."),
    Option(_TASKS + "uris", "URIs, separated by commas, that the sandbox gets too; archives are unpacked."),
    Option(_TASKS + "user", "User that runs TaskManagers; not set: the framework's."),
    Option(_TASKS + "labels", "Labels of the tasks: key:value,key:value."),
    Option("headrace.taskmanager.flink-home", "Flink's directory on agents or in the image: then none is shipped.",
           "/opt/flink with an image"),
    Option(_CONTAINER + "type", "mesos or docker.", "mesos"),
    Option(_CONTAINER + "image.name", "Image of the container; docker needs one."),
    Option(_CONTAINER + "volumes", "Volumes, separated by commas: [host-path:]container-path[:RO|RW]."),
    Option(_CONTAINER + "docker.parameters", "Further parameters of docker run: key=value,key=value."),
    Option(_CONTAINER + "docker.force-pull-image", "Whether the image is pulled even if the agent has it.", "false"),
    Option("headrace.container.docker.network", "host, bridge, or the name of a Docker network.", "host"),
    Option("mesos.constraints.hard.hostattribute", "Only agents with all of these attributes: name:value,name:value; "
           "HOSTNAME is the host's name."),
    Option(_RULES + "soft.hostattribute", "Agents with more of these attributes are taken first; written alike."),
    Option(_RULES + "unique", "Attribute, or HOSTNAME: one TaskManager of the cluster for each value at most."),
    Option(_RULES + "spread", "Attribute, or HOSTNAME: TaskManagers are spread evenly over its values."),
    Option("jobmanager.rpc.address", "The host name or address under which all this is reached; not set: $HOST, else "
           "the address from which the master is reached."),
    Option("jobmanager.rpc.port", "Port of the JobManager's RPC; not set: a free one."),
    Option("jobmanager.bind-host", "Address that the JobManager listens on; jobs submitted by REST need 127.0.0.1 "
           "to be among them. Not set: all addresses, but 127.0.0.1 alone if that is jobmanager.rpc.address."),
    Option("rest.port", "Port of REST and dashboard; not set: $PORT0, else a free one. -1: a free one, and the "
           "dashboard is not shown in Mesos.", aliases=("jobmanager.web.port",)),
    Option("jobmanager.memory.process.size", "Memory of the JobManager; not set: what its task leaves."),
    Option("jobmanager.heap.size", "Older name for the same; fitted into the task."),
    Option("jobmanager.heap.mb", "The same, in MiB."),
    Option("taskmanager.memory.process.size", "Memory of a TaskManager; the same as " + _TASKS + "mem."),
    Option("taskmanager.heap.size", "Older name for the same; " + _TASKS + "mem counts if both are given."),
    Option("taskmanager.heap.mb", "The same, in MiB."),
    Option("taskmanager.cpu.cores", "CPUs of one TaskManager; the same as " + _TASKS + "cpus."),
    Option("taskmanager.numberOfTaskSlots", "Slots of one TaskManager.", "1"),
    Option("taskmanager.registration.timeout", "How long a TaskManager lives without its JobManager.",
           "120 s, or 60 s without high availability",
           aliases=("taskmanager.maxRegistrationDuration",)),
    Option("resourcemanager.taskmanager-timeout", "How long an idle TaskManager is kept.", "30 s",
           aliases=("slotmanager.taskmanager-timeout",)),
    Option("high-availability.type", "zookeeper, a factory's class, or NONE: a killed JobManager then loses its jobs.",
           "files below storageDir", aliases=("high-availability", "recovery.mode")),
    Option("high-availability.storageDir", "Directory (/path, file:/path) where jobs and pointers to checkpoints are "
           "kept; with ZooKeeper also another file system's URL.",
           "beside the application master",
           aliases=("high-availability.zookeeper.storageDir", "recovery.zookeeper.storageDir")),
    Option("high-availability.cluster-id",
           "Name of the cluster where it is kept, a plain one; not set: $MARATHON_APP_ID.",
           aliases=("high-availability.zookeeper.path.namespace", "recovery.zookeeper.path.namespace")),
    Option("high-availability.zookeeper.quorum", "ZooKeeper's servers: host:port,host:port.",
           aliases=("recovery.zookeeper.quorum",)),
    Option("high-availability.zookeeper.path.root", "Znode below which clusters have theirs.", "/flink",
           aliases=("recovery.zookeeper.path.root",)),
    Option("high-availability.zookeeper.path.mesos-workers", "Znode below that for application masters: their "
           "elections and lists of workers.", "/mesos-workers", aliases=("recovery.zookeeper.path.mesos-workers",)),
    Option("high-availability.zookeeper.client.session-timeout", "After so long without a word from a JobManager its "
           "jobs are another one's, in ms.", "10000", aliases=("recovery.zookeeper.client.session-timeout",)),
    Option("high-availability.zookeeper.client.acl", "open, or creator: then headrace.appmaster.store has to give the "
           "application master's credentials.", "open"),
    Option("containerized.taskmanager.env.<NAME>", "Environment variable NAME of TaskManagers."),
    Option("containerized.master.env.<NAME>", "Environment variable NAME of the JobManager."),
    Option("env.java.home", "Directory of the Java runtime, here and on agents; not in an image."),
    Option("env.java.opts.all", "Arguments of all JVMs."),
    Option("env.java.opts", "Arguments of all JVMs, too."),
    Option("env.java.opts.jobmanager", "Arguments of the JobManager's JVM."),
    Option("env.java.opts.taskmanager", "Arguments of TaskManagers' JVMs."),
    Option("fs.hdfs.hadoopconf", "Directory with core-site.xml and hdfs-site.xml, which are shipped; not set: "
           "$HADOOP_CONF_DIR, $HADOOP_HOME/conf, $HADOOP_HOME/etc/hadoop."),
    Option("security.kerberos.login.keytab", "Keytab, which is shipped to TaskManagers."),
    Option("security.kerberos.krb5-conf.path", "krb5.conf, which is shipped to TaskManagers."),
    *(
        Option(f"{_SSL}{side}{kind}store", _STORE)
        for side in ("", "internal.", "rest.")
        for kind in ("key", "trust")
    ),
    Option("headrace.flink.home", "Directory of Flink with lib/; not set: $FLINK_HOME, else the Python package."),
    Option("headrace.flink.version", "Version of Flink, such as 2.3, of those that are installed; not set: that of "
           "$FLINK_HOME or of the Python package."),
    Option("headrace.appmaster.store", "URL of the application master's store: sqlite:///path, zk://host:port,…/path "
           "(then several instances stand by for each other), or file:///path of a file that says it.",
           "in ZooKeeper if Flink is, else sqlite:// in the sandbox"),
    Option("headrace.appmaster.session-timeout", "With a store in ZooKeeper: after so long without a word from the "
           "leading application master another one takes over.", "6 s"),
    Option("headrace.appmaster.on-stop", "What SIGTERM means: destroy, suspend (jobs go on at the next start), restart "
           "(TaskManagers wait for it, too), or ask: what Marathon wants of the app.", "ask"),
    Option("headrace.jvm.archive", "auto: JVMs start with an archive of classes if `headrace flink archive` has made "
           "one; off: without.", "auto"),
    Option("headrace.sql.warm-up", "Plan a trivial script after the start, so that the first SQL job comes sooner.",
           "true"),
    Option("headrace.cluster.type", "session or job; mesos-appmaster-job.sh sets it.", "session"),
    Option("internal.jobgraph-path", "Job cluster: file with the job's graph, written by the same Flink.", "job.graph"),
    Option("headrace.job.jar", "Job cluster: jar with the job's main class."),
    Option("headrace.job.class", "Job cluster: the main class; not set: the jar's manifest says it."),
    Option("headrace.job.arguments", "Job cluster: arguments of the program, split as a shell does."),
    Option("headrace.job.sql", "Job cluster: file with a SQL script; -: the script is in $HEADRACE_JOB_SQL."),
    Option("headrace.job.python", "Job cluster: file with a PyFlink program."),
    Option("headrace.job.when-done", "Job cluster: exit with the job's result, or idle, for a supervisor that would "
           "start it again.", "idle in an app of Marathon, else exit"),
    Option("containerized.heap-cutoff-ratio", "Share of the task's memory that is kept from the heap.",
           refused="Flink divides memory by taskmanager.memory.* since 1.10",
           aliases=("yarn.heap-cutoff-ratio",)),
    Option("containerized.heap-cutoff-min", "Least memory that is kept from the heap.",
           refused="Flink divides memory by taskmanager.memory.* since 1.10", aliases=("yarn.heap-cutoff-min",)),
)  # fmt: skip

KNOWN: dict[str, Option] = {option.name: option for option in TABLE}

_ALIASES = {alias: option for option in TABLE for alias in option.aliases}
_OWN = ("mesos.", "headrace.")
_MISSPELT = {"interval.jobgraph-path": "internal.jobgraph-path"}
"""Names that stood in Flink's documentation for years and never worked."""

_SAME = (
    {_TASKS + "mem", "taskmanager.memory.process.size", "taskmanager.memory.flink.size", "taskmanager.heap.size",
     "taskmanager.heap.mb"},
    {"jobmanager.memory.process.size", "jobmanager.memory.flink.size", "jobmanager.heap.size", "jobmanager.heap.mb"},
    {_TASKS + "cpus", "taskmanager.cpu.cores"},
    {_RM + "framework.secret", "headrace.framework.secret-file"},
)  # fmt: skip
"""Options that say the same in different ways: any of them on the command line hides all of them in a file."""


def parse_arguments(arguments: Sequence[str]) -> FlinkOptions:
    """Read ``-Dk=v``, ``-D k=v`` and ``-Dk`` (true); the first ``=`` splits. Raises UserError."""
    options: FlinkOptions = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-D"):
            raise UserError(f"argument {argument!r} is not understood; options are given as -Dkey=value")
        pair = argument[2:] or (rest.pop(0) if rest else "")
        key, separator, value = pair.partition("=")
        if not key.strip():
            raise UserError(f"argument {argument!r} names no option; give -Dkey=value")
        options[key.strip()] = value if separator else "true"
    return options


def with_present_names(options: Mapping[str, str]) -> FlinkOptions:
    """The same under today's names. Raises UserError if an option and its older name contradict each other."""
    out = {key: value for key, value in options.items() if key not in _ALIASES}
    said = {key: key for key in out}
    for key, value in options.items():
        if key not in _ALIASES:
            continue
        name = _ALIASES[key].name
        if out.setdefault(name, value) != value:
            raise UserError(
                f"option {said[name]} is {out[name]}, but {key} is {value}; both mean {name}: give one of them"
            )
        said.setdefault(name, key)
    return out


def over(file: Mapping[str, str], command_line: Mapping[str, str]) -> FlinkOptions:
    """Both together, the command line winning, also where it says the same by another name. Raises UserError."""
    above, below = with_present_names(command_line), with_present_names(file)
    hidden = {key for same in _SAME if same & above.keys() for key in same}
    return {key: value for key, value in below.items() if key not in hidden} | above


def check_names(options: Mapping[str, str]) -> None:
    """Refuse what would otherwise be ignored in silence. Raises UserError."""
    for key in options:
        if key in _MISSPELT:
            raise UserError(f"option {key} does not exist; it is spelt {_MISSPELT[key]}")
        known = KNOWN.get(key) or _ALIASES.get(key)
        if known is not None and known.refused:
            raise UserError(f"option {key} is not supported: {known.refused}; leave it away")
        if known is None and key.startswith(_OWN):
            raise UserError(f"option {key} does not exist{_hint(key)}")


def _hint(key: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, [o.name for o in TABLE if o.supported], 1)
    return f"; did you mean {near[0]}?" if near else ""
