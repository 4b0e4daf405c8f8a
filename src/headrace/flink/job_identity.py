"""What tells one job from another: a digest, noted with its result, so that another job of the same name runs.

It covers what the user says of the job: main class, options, arguments, the script, and the content of the files that
are the job: jar or graph, PyFlink program, ``pipeline.jars``. Not covered is what may differ from one run of a job to
the next: the sandbox's path, Flink's and Headrace's own jars.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from headrace.flink.distribution import file_digest
from headrace.flink.job import GRAPH, GRAPH_MAIN, JAR, PYTHON, Job
from headrace.flink.options import FlinkOptions
from headrace.flink.python_job import EXECUTABLE

_LIBRARIES = "pipeline.jars"
_PATHS = (JAR, GRAPH, EXECUTABLE)


def digest(job: Job, given: FlinkOptions, sandbox: Path) -> str:
    """SHA-256 in hexadecimal; reads whole files. Raises OSError."""
    from hashlib import sha256

    program = str(Path(given[PYTHON]).absolute()) if PYTHON in given else ""
    arguments = ["" if argument == program else _relative(argument, sandbox) for argument in job.arguments]
    options = {key: _relative(value, sandbox) for key, value in job.options.items() if key not in _PATHS}
    content = [job.main, sorted(options.items()), arguments, job.script, _contents(job, given, program)]
    return sha256(msgspec.json.encode(content)).hexdigest()


def _contents(job: Job, given: FlinkOptions, program: str) -> list[str]:
    """Of the user's files; of a library that is no file here, its name."""
    files = [program] if program else []
    files += [job.options[key] for key in (JAR, GRAPH) if key in given or (key == GRAPH and job.main == GRAPH_MAIN)]
    digests = [file_digest(Path(path)) for path in files]
    for name in filter(None, (part.strip() for part in given.get(_LIBRARIES, "").split(";"))):
        path = Path(name.removeprefix("file://").removeprefix("file:"))
        digests.append(file_digest(path) if path.is_file() else name)
    return digests


def _relative(text: str, sandbox: Path) -> str:
    """A later task has another sandbox."""
    return text.replace(str(sandbox), "")
