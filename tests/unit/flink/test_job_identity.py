"""Which changes of a job make it another one."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from headrace.flink import job
from headrace.flink.job_identity import digest

DRIVER = Path("/opt/driver.jar")


def jar(path: Path, content: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(zipfile.ZipInfo("Main.class"), content)
    return path


def of(sandbox: Path, driver: Path = DRIVER, **options: Any) -> str:
    given = {"headrace.cluster.type": "job"}
    given |= {f"headrace.job.{key}": str(value) for key, value in options.items() if key != "libraries"}
    given |= {"pipeline.jars": str(options["libraries"])} if "libraries" in options else {}
    read = job.read(given, {}, driver)
    assert read is not None
    return digest(read, given, sandbox)


def test_the_same_job_in_another_sandbox_is_the_same(tmp_path: Path) -> None:
    one, two = (
        of(box, jar=jar(box / "job.jar", "x"), arguments=f"--in /data --out {box}/out")
        for box in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two


@pytest.mark.parametrize("changed", [{"class": "B"}, {"arguments": "--in /other"}, {"libraries": "/nowhere.jar"}])
def test_other_words_are_another_job(tmp_path: Path, changed: dict[str, str]) -> None:
    given: dict[str, Any] = {"jar": jar(tmp_path / "job.jar", "x"), "class": "A", "arguments": "--in /data"}
    assert of(tmp_path, **given) != of(tmp_path, **{**given, **changed})


def test_other_content_is_another_job(tmp_path: Path) -> None:
    path = jar(tmp_path / "job.jar", "x")
    before = of(tmp_path, jar=path), of(tmp_path, jar=path, libraries=f"file://{jar(tmp_path / 'lib.jar', 'x')}")
    jar(tmp_path / "lib.jar", "y")
    assert of(tmp_path, jar=path, libraries=f"file://{tmp_path}/lib.jar") != before[1]
    jar(path, "y")
    assert of(tmp_path, jar=path) != before[0]


def test_a_script_is_its_text_whatever_runs_it(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 1;")
    (tmp_path / "b.sql").write_text("SELECT 1;")
    (tmp_path / "c.sql").write_text("SELECT 2;")
    assert of(tmp_path, sql=tmp_path / "a.sql") == of(tmp_path, Path("/other/driver.jar"), sql=tmp_path / "b.sql")
    assert of(tmp_path, sql=tmp_path / "a.sql") != of(tmp_path, sql=tmp_path / "c.sql")


def test_a_graph_is_its_content(tmp_path: Path) -> None:
    graphs = [tmp_path / name for name in "abc"]
    for path, end in zip(graphs, (b"1", b"1", b"2"), strict=True):
        path.write_bytes(b"\xac\xed\x00\x05" + end)
    found = []
    for path in graphs:
        given = {"headrace.cluster.type": "job", job.GRAPH: str(path)}
        read = job.read(given, {}, DRIVER)
        assert read is not None
        found.append(digest(read, given, tmp_path))
    assert found[0] == found[1] != found[2]
