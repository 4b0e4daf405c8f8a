"""Fetches what other programs know how to fetch: ``hdfs://`` and its like by hadoop, ``s3://`` by hadoop or aws.

No shell is involved. The program runs as the task's user, with that user's own configuration, and is ended when
nothing comes any more. As in Mesos, every scheme that the agent doesn't know is left to hadoop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from headrace.mesos.agent.users import as_user

S3 = ("s3", "s3a", "s3n")
REFUSED = ("ftp", "ftps", "sftp", "scp", "tftp")

_FOR_OTHERS = ("PATH", "LANG", "LC_ALL", "TZ", "JAVA_HOME")
_LOOK = 1.0
_TAIL = 4096
_LINGER = 1.0


class CommandProblem(Exception):  # noqa: N818 - an answer to a task, not an error of the agent
    """The program is not there or has failed; says what to do or what it said."""


def copying(address: str, target: Path, hadoop_home: str, environment: Mapping[str, str]) -> list[str]:
    """The command line that copies ``address`` to ``target``. Raises CommandProblem."""
    scheme = address.partition("://")[0].lower()
    if scheme in REFUSED:
        raise CommandProblem(f"{scheme}:// is not supported; offer the file by http, https, hdfs or s3")
    if urlsplit(address).password is not None:
        raise CommandProblem(
            "it holds a password, which everybody on this machine could see while it is fetched; "
            "put it into the configuration of hadoop or aws"
        )
    hadoop = _hadoop(hadoop_home, environment)
    if hadoop is not None:
        return [hadoop, "fs", "-copyToLocal", address, str(target)]
    if scheme not in S3:
        raise CommandProblem(
            f"{scheme}:// needs the program hadoop, which is not installed on this agent; install Hadoop's client "
            "and give --hadoop_home, or put hadoop on the agent's PATH"
        )
    aws = _on_path("aws", environment)
    if aws is None:
        raise CommandProblem(
            f"{scheme}:// needs the program hadoop or aws, and neither is installed on this agent; install the AWS "
            "command line, or Hadoop's client and give --hadoop_home"
        )
    return [aws, "s3", "cp", "--no-progress", f"s3://{address.partition('://')[2]}", str(target)]


def _hadoop(home: str, environment: Mapping[str, str]) -> str | None:
    if home:
        program = os.path.join(home, "bin", "hadoop")
        if not os.access(program, os.X_OK):
            raise CommandProblem(f"--hadoop_home: there is no program {program} on this agent")
        return program
    if given := environment.get("HADOOP_HOME"):
        program = os.path.join(given, "bin", "hadoop")
        if os.access(program, os.X_OK):
            return program
    return _on_path("hadoop", environment)


def _on_path(name: str, environment: Mapping[str, str]) -> str | None:
    for directory in environment.get("PATH", "").split(os.pathsep):
        program = os.path.join(directory, name)
        if os.path.isabs(program) and os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    return None


async def run(
    argv: Sequence[str],
    *,
    user: pwd.struct_passwd | None,
    directory: Path,
    stall: float,
    report: Callable[[int], None],
) -> None:
    """Run a program that fills ``directory``; ``report`` is told how many bytes are there.

    It is ended if nothing comes for ``stall`` seconds. Raises CommandProblem, OSError.
    """
    name = os.path.basename(argv[0])
    process = await asyncio.create_subprocess_exec(
        *as_user(user, list(argv)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=directory,
        env=_environment(user),
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    reading = asyncio.create_task(_tail(process.stdout))
    try:
        await _until_ended(process, name, directory, stall, report)
        async with asyncio.timeout(_LINGER):
            said = await reading
    except TimeoutError:  # something that it left behind holds the pipe
        said = ""
    finally:
        reading.cancel()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        raise CommandProblem(f"{name} failed with status {process.returncode}" + (f": {said}" if said else ""))


async def _until_ended(
    process: asyncio.subprocess.Process, name: str, directory: Path, stall: float, report: Callable[[int], None]
) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.create_task(process.wait())
    size, since = 0, loop.time()
    try:
        while True:
            done, _ = await asyncio.wait([ended], timeout=min(_LOOK, stall))
            if done:
                return
            now_there = _size(directory)
            if now_there != size:
                size, since = now_there, loop.time()
                report(size)
            elif loop.time() - since >= stall:
                raise CommandProblem(f"{name} has brought nothing for {stall:g} s")
    finally:
        ended.cancel()


async def _tail(stream: asyncio.StreamReader) -> str:
    """The end of what a program says, in one line."""
    tail = b""
    while chunk := await stream.read(65536):
        tail = (tail + chunk)[-_TAIL:]
    lines = [line.strip() for line in tail.decode("utf-8", "replace").splitlines() if line.strip()]
    return "; ".join(lines[-3:])[-500:]


def _size(directory: Path) -> int:
    """Bytes in a directory's files; the programs use names of their own until they are done."""
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    return 0


def _environment(user: pwd.struct_passwd | None) -> dict[str, str]:
    """The agent's own; for another user only what holds no secrets of the agent's."""
    if user is None:
        return dict(os.environ)
    kept = {name: value for name, value in os.environ.items() if name in _FOR_OTHERS or name.startswith("HADOOP_")}
    return kept | {"USER": user.pw_name, "LOGNAME": user.pw_name, "HOME": user.pw_dir}
