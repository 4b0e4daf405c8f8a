"""Rules of what apps and pods have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from headrace.marathon.definitions.errors import Violation
from headrace.marathon.definitions.parts import (
    BRIDGE,
    CONTAINER,
    HOST,
    EnvValue,
    Fetch,
    LinuxInfo,
    Network,
    Persistent,
    Secret,
    SecretRef,
    UnreachableStrategy,
    UpgradeStrategy,
)
from headrace.marathon.definitions.paths import RESERVED
from headrace.marathon.definitions.rules.constraints import constraint_error
from headrace.marathon.definitions.rules.context import SECRETS, Context

_URI = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_URI_PATH = re.compile(r"[!-~]*")


_UUID = 36
_MAX_ID = 255
"""Characters of an id of a task or a volume that Mesos takes."""
_IN_TASK_ID = len(".instance-") + _UUID + len("..") + len("999999")
"""What of a task's id is neither its app's nor its container's: an instance's uuid, and how often it was launched."""


def identity(run_spec_id: str, containers: Sequence[str] = ("_app",)) -> Iterator[Violation]:
    """The id names something below the root, no word of the API, and fits into the ids of tasks."""
    most = _MAX_ID - _IN_TASK_ID - max((len(one) for one in containers), default=0)
    if len(run_spec_id) - 1 > most:
        got = len(run_spec_id) - 1
        words = f"has {got} characters; {most} are possible, as ids of tasks, which begin with it, have {_MAX_ID}"
        yield Violation("/id", words)
    if run_spec_id == "/":
        yield Violation("/id", "Path must contain at least one path element")
    elif run_spec_id.rsplit("/", 1)[1] in RESERVED:
        words = ", ".join(RESERVED)
        yield Violation("/id", f"must not end with any of the following reserved keywords: {words}")


def environment(
    variables: Mapping[str, EnvValue], path: str, secrets: Mapping[str, Secret], context: Context
) -> Iterator[Violation]:
    """Names and values that a process can have; secrets that are defined."""
    for index, (name, value) in enumerate(variables.items()):
        if not name:
            yield Violation(f"{path}/keys({index})", "must not be empty")
        if "=" in name or "\0" in name or (isinstance(value, str) and "\0" in value):
            yield Violation(f"{path}/{name}", "no process can have such a variable: '=' in its name, or a NUL in it")
        if isinstance(value, SecretRef):
            feature = list(context.needs(SECRETS, f"{path}/{name}"))
            yield from feature
            if not feature and value.secret not in secrets:
                yield Violation(f"{path}/{name}/secret", "references an undefined secret")


def secrets(given: Mapping[str, Secret], context: Context) -> Iterator[Violation]:
    """Only where they are enabled, and with a source."""
    if given:
        yield from context.needs(SECRETS, "/secrets")
    for name, secret in given.items():
        if not name:
            yield Violation("/secrets", "must not be empty")
        if not secret.source:
            yield Violation(f"/secrets/{name}/source", "must not be empty")


def secret_reference(name: str, given: Mapping[str, Secret], path: str, context: Context) -> Iterator[Violation]:
    """A secret that an image or a volume names."""
    feature = list(context.needs(SECRETS, path))
    yield from feature
    if not feature and name not in given:
        yield Violation(f"{path}/secret", "references an undefined secret")


def labels(given: Mapping[str, str], path: str) -> Iterator[Violation]:
    """They become variables of the tasks."""
    for name, value in given.items():
        if "\0" in name + value:
            yield Violation(f"{path}/{name}", "must not contain NUL: labels become variables of the tasks")


def fetches(given: Sequence[Fetch], path: str) -> Iterator[Violation]:
    """URIs that the fetcher can be asked for."""
    for index, fetch in enumerate(given):
        if not _URI.fullmatch(fetch.uri):
            yield Violation(f"{path}({index})/uri", "URI has invalid syntax.")


def networks(given: Sequence[Network]) -> Iterator[Violation]:
    """Which networks go together, and which are named."""
    modes = [one.mode for one in given]
    for network in given:
        if network.mode == HOST and (network.name or network.labels):
            yield Violation("/networks", "Host networks may not have names or labels")
        if network.mode == BRIDGE and network.name:
            yield Violation("/networks", "Bridge networks may not have names")
        if network.mode == CONTAINER and not network.name:
            yield Violation("/networks", "Network name must be specified when container network is selected.")
    if len(modes) > 1 and set(modes) != {CONTAINER}:
        yield Violation(
            "/networks",
            "May specify a single host network, single bridge network, or else 1-to-n container networks",
        )
    names = [one.name for one in given if one.mode == CONTAINER]
    if len(set(names)) < len(names):
        yield Violation("/networks", "Duplicate networks are not allowed")


def network_names(
    given: Sequence[str], host_port: int | None, networks: Sequence[Network], path: str
) -> Iterator[Violation]:
    """The networks that a port is for."""
    known = [one.name for one in networks if one.mode == CONTAINER and one.name]
    for index, name in enumerate(given):
        if name not in known:
            yield Violation(f"{path}/networkNames({index})", f"is not one of ({','.join(known)})")
    if host_port is not None and len(known) > 1 and len(given) != 1:
        yield Violation(
            f"{path}/networkNames",
            "must be a single item list when hostPort is specified and more than 1 container network is defined",
        )


def persistent(volume: Persistent, path: str, run_spec_id: str, name: str) -> Iterator[Violation]:
    """Sizes and constraints of a volume that outlives its task, and that there can be an id for it."""
    if (got := len(run_spec_id) - 1 + len(name)) > (most := _MAX_ID - len("##") - _UUID):
        words = f"its name and the id have {got} characters; {most} are possible, as ids of volumes have {_MAX_ID}"
        yield Violation(path, words)
    if volume.size <= 0:
        yield Violation(f"{path}/size", f"got {volume.size}, expected more than 0")
    if volume.max_size is not None and volume.type != "mount":
        yield Violation(f"{path}/maxSize", "Only mount volumes can have maxSize")
    elif volume.max_size is not None and volume.max_size <= volume.size:
        yield Violation(f"{path}/maxSize", f"got {volume.max_size}, expected more than {volume.size}")
    if volume.constraints and volume.type == "root":
        yield Violation(path, "Constraints on root volumes are not supported")
        return
    for index, one in enumerate(volume.constraints):
        where = f"{path}/constraints({index})"
        if one[0] != "path" or one[1] not in ("LIKE", "UNLIKE") or len(one) < 3:
            yield Violation(where, "Only 'path' with LIKE or UNLIKE and a regular expression is supported")
        elif error := constraint_error(one):
            yield Violation(where, error)


def linux_info(given: LinuxInfo | None, path: str, *, share_parent: bool = True) -> Iterator[Violation]:
    """Seccomp and IPC, which contradict themselves easily."""
    if given is None:
        return
    seccomp, ipc = given.seccomp, given.ipc_info
    if seccomp is not None and seccomp.profile_name is not None and seccomp.unconfined:
        yield Violation(f"{path}/seccomp", "Seccomp unconfined can NOT be true when Profile is defined")
    if seccomp is not None and seccomp.profile_name is None and not seccomp.unconfined:
        yield Violation(f"{path}/seccomp", "Seccomp unconfined must be true when Profile is NOT defined")
    if ipc is not None and ipc.mode == "SHARE_PARENT" and ipc.shm_size is not None:
        yield Violation(f"{path}/ipcInfo", "ipcInfo shmSize can NOT be set when mode is SHARE_PARENT")


def unreachable(strategy: UnreachableStrategy | None, *, resident: bool, what: str) -> Iterator[Violation]:
    """Times in their order; none where volumes are kept."""
    if strategy is None:
        return
    if resident:
        yield Violation("/", f"unreachableStrategy must be disabled for resident {what}")
    elif strategy.inactive_after_seconds > strategy.expunge_after_seconds:
        limit = strategy.expunge_after_seconds
        yield Violation("/unreachableStrategy", f"must be less or equal to expungeAfterSeconds, which is {limit}")


def resident_upgrade(strategy: UpgradeStrategy, path: str) -> Iterator[Violation]:
    """What keeps volumes can't have more instances than that."""
    if strategy.maximum_over_capacity != 0:
        yield Violation(path, f"got {strategy.maximum_over_capacity}, expected 0.0")


def roles(role: str, accepted: Sequence[str], *, resident: bool, context: Context, what: str) -> Iterator[Violation]:
    """A role that is allowed here, and resources of it or of nobody."""
    if resident and role == "*":
        yield Violation("/role", f"Resident {what} cannot have the role *")
    if role not in context.roles:
        yield Violation("/role", f"got {role}, expected one of: [{', '.join(context.roles)}]")
    allowed = ["*"] if role == "*" else ["*", role]
    if any(one not in allowed for one in accepted):
        names = ", ".join(allowed)
        path = "/acceptedResourceRoles"
        yield Violation(path, f"acceptedResourceRoles can only contain {names}")
    if resident and accepted and list(accepted) != ["*"]:
        yield Violation("/acceptedResourceRoles", 'A resident app must have `acceptedResourceRoles = ["*"]`.')


def check_path(given: str | None, path: str, what: str) -> Iterator[Violation]:
    """A path that can be asked for over HTTP."""
    if given is not None and not _URI_PATH.fullmatch(given):
        shown = "printable ASCII characters without blanks; percent-encode all others"
        yield Violation(path, f"{what} path must be {shown}")
