"""What Mesos checks of commands, containers, checks and health checks, in its words."""

from __future__ import annotations

from headrace.mesos.messages.common import CheckInfo, CommandInfo, ContainerInfo, Environment, HealthCheck, Volume

_SOURCES = {
    "DOCKER_VOLUME": ("docker_volume", "DOCKER_VOLUME volume"),
    "HOST_PATH": ("host_path", "HOST_PATH volume"),
    "SANDBOX_PATH": ("sandbox_path", "SANDBOX_PATH volume"),
    "SECRET": ("secret", "SECRET volume"),
}


def command(info: CommandInfo | None) -> str | None:
    """Whether the environment of a command is sound."""
    return _environment(info.environment) if info is not None and info.environment is not None else None


def _environment(environment: Environment) -> str | None:
    for variable in environment.variables or ():
        name = variable.name
        if variable.type == "SECRET":
            if variable.secret is None:
                return f"Environment variable '{name}' of type 'SECRET' must have a secret set"
            if variable.value is not None:
                return f"Environment variable '{name}' of type 'SECRET' must not have a value set"
        elif variable.value is None:
            return f"Environment variable '{name}' of type 'VALUE' must have a value set"
        elif variable.secret is not None:
            return f"Environment variable '{name}' of type 'VALUE' must not have a secret set"
    return None


def container(info: ContainerInfo | None) -> str | None:
    """Whether a container's volumes and image are described well."""
    if info is None:
        return None
    for volume in info.volumes or ():
        if wrong := _volume(volume):
            return f"Invalid volume: {wrong}"
    if info.type == "DOCKER":
        if info.docker is None:
            return "DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"
        if any(parameter.key == "name" for parameter in info.docker.parameters or ()):
            return "Parameter in DockerInfo must not be 'name'"
    return None


def _volume(volume: Volume) -> str | None:
    if [volume.host_path, volume.image, volume.source].count(None) != 2:
        return "Only one of them should be set: 'host_path', 'image' and 'source'"
    if volume.source is None:
        return None
    source = _SOURCES.get(volume.source.type or "")
    if source is None:
        return "'source.type' is unknown"
    field, what = source
    return f"'source.{field}' is not set for {what}" if getattr(volume.source, field) is None else None


def health_check(check: HealthCheck | None) -> str | None:
    """Whether a health check can be run. One without a type has that of its only body."""
    if check is None:
        return None
    kind = kind_of_health_check(check)
    if kind is None:
        return "HealthCheck must specify 'type'"
    if getattr(check, kind.lower()) is None:
        return f"Expecting '{kind.lower()}' to be set for {kind} health check"
    if kind == "COMMAND" and (wrong := _checked_command(check.command, "Command health check", "Health check")):
        return wrong
    if kind == "HTTP" and check.http is not None:
        if check.http.scheme not in (None, "http", "https"):
            return f"Unsupported HTTP health check scheme: '{check.http.scheme}'"
        if check.http.path is not None and not check.http.path.startswith("/"):
            return f"The path '{check.http.path}' of HTTP health check must start with '/'"
    return _times(check, ("delay_seconds", "grace_period_seconds", "interval_seconds", "timeout_seconds"))


def kind_of_health_check(check: HealthCheck) -> str | None:
    """COMMAND, HTTP or TCP; None if it can't be told."""
    if check.type in ("COMMAND", "HTTP", "TCP"):
        return check.type
    if check.command is not None and check.http is None:
        return "COMMAND"
    return "HTTP" if check.http is not None and check.command is None else None


def general_check(check: CheckInfo | None) -> str | None:
    """Whether a check can be run."""
    if check is None:
        return None
    kind = check.type
    if kind not in ("COMMAND", "HTTP", "TCP"):
        return "CheckInfo must specify 'type'"
    if getattr(check, kind.lower()) is None:
        return f"Expecting '{kind.lower()}' to be set for {kind} check"
    if kind == "COMMAND" and check.command is not None:
        if wrong := _checked_command(check.command.command, "Command check", "Check"):
            return wrong
    elif check.http is not None and kind == "HTTP" and not (check.http.path or "/").startswith("/"):
        return f"The path '{check.http.path}' of HTTP check must start with '/'"
    return _times(check, ("delay_seconds", "interval_seconds", "timeout_seconds"))


def _checked_command(info: CommandInfo | None, what: str, whose: str) -> str | None:
    if info is None or info.value is None:
        kind = "'executable path'" if info is not None and info.shell is False else "'shell command'"
        return f"{what} must contain {kind}"
    wrong = command(info)
    return f"{whose}'s `CommandInfo` is invalid: {wrong}" if wrong else None


def _times(check: HealthCheck | CheckInfo, fields: tuple[str, ...]) -> str | None:
    for field in fields:
        if (getattr(check, field) or 0) < 0:
            return f"Expecting '{field}' to be non-negative"
    return None
