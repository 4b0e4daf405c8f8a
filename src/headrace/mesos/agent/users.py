"""As whom a task runs: the agent's own user, or, if the agent is root, the user that the command names.

Only ``CommandInfo.user`` counts. Frameworks always send ``FrameworkInfo.user`` too; it is taken as information,
as Mesos does with ``--no-switch_user``.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

_SETPRIV = "/usr/bin/setpriv"


class UserProblem(Exception):  # noqa: N818 - an answer to a task, not an error of the agent
    """The task can't run as the user that it names; says why and what to do."""


def check_user(name: str | None) -> pwd.struct_passwd | None:
    """The user to switch to; None for the agent's own. Raises UserProblem."""
    if not name:
        return None
    own = os.geteuid()
    try:
        user = pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise UserProblem(f"No such user '{name}' on this machine") from None
    if user.pw_uid == own:
        return None
    if own != 0:
        raise UserProblem(
            f"The agent runs as '{pwd.getpwuid(own).pw_name}' and can't run a task as '{name}'; only an agent "
            "that runs as root can. Leave the command's user out, or run the agent as root"
        )
    if not os.access(_SETPRIV, os.X_OK):
        raise UserProblem(f"To run a task as '{name}' the agent needs {_SETPRIV} (package util-linux)")
    return user


def as_user(user: pwd.struct_passwd | None, argv: list[str]) -> list[str]:
    """The command line that runs ``argv`` as ``user``."""
    if user is None:
        return argv
    ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
    return [_SETPRIV, *ids, "--init-groups", "--", *argv]


def give_to(user: pwd.struct_passwd, sandbox: Path) -> None:
    """Make ``user`` the owner of a sandbox and of all in it. Raises OSError."""
    os.chown(sandbox, user.pw_uid, user.pw_gid)
    for directory, subdirectories, files in os.walk(sandbox):
        for name in (*subdirectories, *files):
            os.chown(os.path.join(directory, name), user.pw_uid, user.pw_gid, follow_symlinks=False)
