"""Secrets that come with what is launched, by value; there is no store here to look references up in. Pure."""

from __future__ import annotations

import base64
import binascii

from headrace.mesos.messages.common import CommandInfo, EnvironmentVariable, Secret


class SecretError(ValueError):
    """A secret can't be had; the message does not tell it."""


def data_of(secret: Secret | None) -> bytes:
    """What a secret of type VALUE holds. Raises SecretError."""
    if secret is None or secret.value is None:
        raise SecretError("only secrets of type VALUE are supported by this agent")
    try:
        return base64.b64decode(secret.value.data, validate=True)
    except (binascii.Error, ValueError):
        raise SecretError("the secret's value.data is not base64") from None


def text_of(variable: EnvironmentVariable) -> str:
    """The value of a variable, be it secret or not. Raises SecretError."""
    if variable.type != "SECRET" and variable.secret is None:
        return variable.value or ""
    try:
        return data_of(variable.secret).decode()
    except UnicodeDecodeError:
        raise SecretError("the secret is not UTF-8 text, so it can't be a variable's value") from None


def variables_of(command: CommandInfo | None) -> dict[str, str]:
    """The variables of a command by name. Raises SecretError."""
    variables = command.environment.variables if command is not None and command.environment is not None else None
    return {variable.name: text_of(variable) for variable in variables or ()}
