"""Reading and writing Flink's configuration files."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.flink import conf
from headrace.kernel.daemon import UserError

NESTED = """\
# a comment
---
env:
  java:
    opts:
      all: --add-exports=a/b=ALL --add-opens=c   # trailing
jobmanager.rpc.port: 6123
taskmanager:
  host: "quoted # no comment"
  memory:
    process:
      size: 1728m
pipeline:
  jars:
    - file:///a.jar
    - 'file:///it''s.jar'
classes: [a, "b"]
"""


def test_nested_yaml() -> None:
    assert conf.parse_config_yaml(NESTED, "x") == {
        "env.java.opts.all": "--add-exports=a/b=ALL --add-opens=c",
        "jobmanager.rpc.port": "6123",
        "taskmanager.host": "quoted # no comment",
        "taskmanager.memory.process.size": "1728m",
        "pipeline.jars": "file:///a.jar;file:///it's.jar",
        "classes": "a;b",
    }


@pytest.mark.parametrize("text", ["a: |", "a: {b: c}", "a: &x 1", "just words", "\tb: c", 'a: "open', "- item"])
def test_other_yaml_is_refused_by_line(text: str) -> None:
    with pytest.raises(UserError, match="c.yaml, line 2"):
        conf.parse_config_yaml("ok: 1\n" + text if not text.startswith("-") else "# x\n" + text, "c.yaml")


def test_flink_conf() -> None:
    assert conf.parse_flink_conf("a.b: c: d # e\n\n# f\na.b: g\n", "x") == {"a.b": "g"}
    with pytest.raises(UserError, match="f.yaml, line 1"):
        conf.parse_flink_conf("a=b", "f.yaml")


def test_config_yaml_comes_first(tmp_path: Path) -> None:
    (tmp_path / "flink-conf.yaml").write_text("a: old\n")
    assert conf.read_conf_dir(tmp_path) == {"a": "old"}
    (tmp_path / "config.yaml").write_text("a: new\n")
    assert conf.read_conf_dir(tmp_path) == {"a": "new"}


GOLDEN = {
    "env.java.opts.all": "--add-exports=java.base/sun.net.util=ALL-UNNAMED -Dx=a:b",
    "jobmanager.bind-host": "0.0.0.0",
    "jobmanager.rpc.address": "jm.example",
    "jobmanager.memory.process.size": "1600m",
    "taskmanager.numberOfTaskSlots": "2",
    "mesos.master": "zk://a:2181,b:2181/mesos",
    "mesos.constraints.hard.hostattribute": "rack:a,zone:b",
    "parallelism.default": "1",
}
GOLDEN_CONFIG = """\
# as Flink 1.20 ships it
env:
  java:
    opts:
      all: --add-exports=java.base/sun.net.util=ALL-UNNAMED -Dx=a:b
jobmanager:
  # comment
  bind-host: 0.0.0.0
  rpc:
    address: jm.example
  memory:
    process:
      size: 1600m

taskmanager:
  numberOfTaskSlots: 2
mesos.master: "zk://a:2181,b:2181/mesos"
mesos:
  constraints:
    hard:
      hostattribute: 'rack:a,zone:b'
parallelism:
  default: 1
"""
GOLDEN_FLINK_CONF = """\
# as Flink 1.2 to 1.18 read it
env.java.opts.all: --add-exports=java.base/sun.net.util=ALL-UNNAMED -Dx=a:b
jobmanager.bind-host: 0.0.0.0
jobmanager.rpc.address: first.example
jobmanager.rpc.address: jm.example   # the last one counts
jobmanager.memory.process.size:    1600m

taskmanager.numberOfTaskSlots: 2
mesos.master: zk://a:2181,b:2181/mesos
mesos.constraints.hard.hostattribute: rack:a,zone:b
parallelism.default: 1
"""


def test_golden_files() -> None:
    assert conf.parse_config_yaml(GOLDEN_CONFIG, "x") == GOLDEN
    assert conf.parse_flink_conf(GOLDEN_FLINK_CONF, "x") == GOLDEN


@settings(max_examples=25)
@given(st.dictionaries(st.from_regex(r"[a-z][a-z.-]*", fullmatch=True), st.text(min_size=1), max_size=5))
def test_what_is_written_can_be_read(options: dict[str, str]) -> None:
    assert conf.parse_config_yaml(conf.render(options).decode("utf-8"), "x") == options


def test_private_files_are_private(tmp_path: Path) -> None:
    conf.write_private(tmp_path / "secret", b"x")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "file", "environment", "expected"),
    [
        ([], "", "http://127.0.0.1:5050", "http://127.0.0.1:5050"),
        ([], "mesos.master: file:5050", "http://127.0.0.1:5050", "file:5050"),
        (["-Dmesos.master=given:5050"], "", "http://127.0.0.1:5050", "given:5050"),
        ([], "", "", None),
    ],
)
def test_the_environment_names_the_master_if_nothing_else_does(
    tmp_path: Path, arguments: list[str], file: str, environment: str, expected: str | None
) -> None:
    (tmp_path / "flink-conf.yaml").write_text(file)
    found = conf.read_options(arguments, {"FLINK_CONF_DIR": str(tmp_path), "HEADRACE_MASTER": environment})
    assert found.get("mesos.master") == expected
