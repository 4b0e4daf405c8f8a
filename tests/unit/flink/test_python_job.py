"""A PyFlink program as a cluster's job: what its JobManager is told, and what is said if something is missing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from headrace.flink import job, python_job
from headrace.flink.distribution import Distribution
from headrace.flink.job import Job
from headrace.kernel.daemon import UserError

KIND = {"headrace.cluster.type": "job"}
OTHER_PYTHON = {"python.client.executable": sys.executable}


@pytest.fixture
def flink(tmp_path: Path) -> Distribution:
    (tmp_path / "pyflink" / "opt").mkdir(parents=True)
    (tmp_path / "pyflink" / "opt" / "flink-python-1.20.5.jar").touch()
    (tmp_path / "job.py").touch()
    return Distribution(tmp_path / "pyflink", "1.20.5", ())


def read(flink: Distribution, **given: str) -> Job:
    options = {"headrace.job.python": str(flink.home.parent / "job.py"), **OTHER_PYTHON}
    options |= {key.replace("_", "."): value for key, value in given.items()}
    found = job.read(KIND | options, {"PATH": ""}, Path("/driver.jar"), flink)
    assert found is not None
    return found


def test_flinks_own_driver_runs_it(flink: Distribution) -> None:
    found = read(flink, headrace_job_arguments="--day '21 11'")
    assert found.main == job.PROGRAM_MAIN
    assert found.arguments == ["-py", str(flink.home.parent / "job.py"), "--day", "21 11"]
    assert found.options == {
        "headrace.job.jar": str(flink.home / "opt" / "flink-python-1.20.5.jar"),
        "headrace.job.class": "org.apache.flink.client.python.PythonDriver",
        **OTHER_PYTHON,
    }


def test_another_python_must_be_there(flink: Distribution) -> None:
    with pytest.raises(UserError, match=r"python\.client\.executable is nopython.*no such program"):
        read(flink, python_client_executable="nopython")


def test_the_program_must_be_there(flink: Distribution) -> None:
    with pytest.raises(UserError, match=r"headrace\.job\.python: the program /nowhere\.py can't be read"):
        read(flink, headrace_job_python="/nowhere.py")


def test_a_class_is_for_jars(flink: Distribution) -> None:
    with pytest.raises(UserError, match=r"headrace\.job\.class needs headrace\.job\.jar"):
        read(flink, headrace_job_class="Main")


def test_the_distribution_must_have_flinks_driver(flink: Distribution) -> None:
    (flink.home / "opt" / "flink-python-1.20.5.jar").unlink()
    with pytest.raises(UserError, match=r"must hold one flink-python-\*\.jar, but holds 0"):
        read(flink)


@pytest.mark.parametrize(
    ("installed", "error"),
    [
        ("", r"PyFlink is not installed for this Python.*pip install apache-flink==1\.20\.5"),
        ("2.3.0", r"has PyFlink 2\.3\.0, but the cluster runs Flink 1\.20\.5"),
        ("1.20.5", ""),
    ],
)
def test_our_own_python_needs_the_same_version(
    flink: Distribution, installed: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed:
        (flink.home / "java_gateway.py").touch()
        (flink.home / "version.py").write_text(f'# comment\n__version__ = "{installed}"\n')
    spec = importlib.util.spec_from_loader("pyflink", None, is_package=True)
    assert spec is not None
    spec.submodule_search_locations = [str(flink.home)]
    monkeypatch.setattr(python_job, "find_spec", lambda name: spec)
    given = {"headrace.job.python": str(flink.home.parent / "job.py")}
    if error:
        with pytest.raises(UserError, match=error):
            python_job.program(given, {}, flink)
    else:
        assert python_job.program(given, {}, flink, "/py")[0]["python.client.executable"] == "/py"
