"""A PyFlink program as the job of a cluster.

Flink's PythonDriver, in the jar ``opt/flink-python-*.jar`` of the distribution, runs the program in a Python process
beside the JobManager. That Python is ``python.client.executable``, else the one that runs Headrace; it needs the
package ``apache-flink`` in Flink's version. Flink's own options for Python (``python.files``, ``python.executable`` …)
work as they are.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from headrace.flink.distribution import Distribution
from headrace.flink.options import FlinkOptions
from headrace.kernel.daemon import UserError

PYTHON = "headrace.job.python"
EXECUTABLE = "python.client.executable"
DRIVER = "org.apache.flink.client.python.PythonDriver"


def program(
    given: FlinkOptions, environment: Mapping[str, str], flink: Distribution, executable: str = sys.executable
) -> tuple[FlinkOptions, list[str]]:
    """The JobManager's options for the program, and the first arguments of Flink's driver. Raises UserError."""
    script = Path(given[PYTHON]).absolute()
    try:
        script.open("rb").close()
    except OSError as error:
        raise UserError(f"{PYTHON}: the program {script} can't be read: {error.strerror}") from None
    python = given.get(EXECUTABLE) or environment.get("PYFLINK_CLIENT_EXECUTABLE")
    if python is None:
        _check_own(flink)
        python = executable
    elif shutil.which(python, path=environment.get("PATH")) is None:
        raise UserError(f"option {EXECUTABLE} is {python}, and there is no such program")
    options = {"headrace.job.jar": str(_jar(flink)), "headrace.job.class": DRIVER, EXECUTABLE: python}
    return options, ["-py", str(script)]


def _jar(flink: Distribution) -> Path:
    jars = sorted((flink.home / "opt").glob("flink-python*.jar"))
    if len(jars) != 1:
        raise UserError(f"{PYTHON}: {flink.home}/opt must hold one flink-python-*.jar, but holds {len(jars)}")
    return jars[0]


def _check_own(flink: Distribution) -> None:
    """Whether our own Python has PyFlink, in the version of the cluster's Flink."""
    version = _version()
    if version == flink.version:
        return
    found = f"this Python has PyFlink {version}" if version else "PyFlink is not installed for this Python"
    raise UserError(
        f"{PYTHON}: {found}, but the cluster runs Flink {flink.version}; "
        f"run 'pip install apache-flink=={flink.version}' "
        f"or name another Python that has it by -D{EXECUTABLE}=…"
    )


def _version() -> str:
    """Of our Python's PyFlink, without importing it; empty: there is none, though Flink's jars may be."""
    spec = find_spec("pyflink")
    for place in map(Path, (spec and spec.submodule_search_locations) or ()):
        if (place / "java_gateway.py").is_file():
            match = re.search(r"""__version__\s*=\s*["']([^"']+)""", (place / "version.py").read_text())
            return match[1] if match else "of an unknown version"
    return ""
