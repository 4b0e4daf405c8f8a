"""As whom the framework logs in: HTTP Basic authentication, which Mesos masters take of schedulers.

The secret stands in no message, log or state; our own master does not ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.kernel.daemon import UserError
from headrace.kernel.http import HttpClient
from headrace.mesos.credentials import CredentialClient, read_secret

PRINCIPAL = "mesos.resourcemanager.framework.principal"
SECRET = "mesos.resourcemanager.framework.secret"  # noqa: S105 - the option's name
SECRET_FILE = "headrace.framework.secret-file"  # noqa: S105 - the option's name


def client_for(options: Mapping[str, str]) -> HttpClient:
    """The HTTP client for the master. Raises UserError if secret and principal don't go together."""
    principal, secret = options.get(PRINCIPAL, ""), _secret(options)
    if not secret:
        return HttpClient()
    if not principal or ":" in principal:
        raise UserError(f"a framework secret needs {PRINCIPAL}, a name without colons")
    return CredentialClient(principal, secret)


def _secret(options: Mapping[str, str]) -> str:
    if SECRET in options and SECRET_FILE in options:
        raise UserError(f"options {SECRET} and {SECRET_FILE} both give the secret; leave one away")
    if SECRET_FILE not in options:
        return options.get(SECRET, "")
    return read_secret(f"option {SECRET_FILE}", options[SECRET_FILE])
