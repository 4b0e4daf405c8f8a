"""The script that is a TaskManager's command, run by a real shell with a stand-in for Java."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from headrace.flink import jvm
from headrace.flink.archives import JAR_TIME, runtime
from headrace.mesos.messages.common import CommandInfo
from tests.unit.flink.observing import Built

JAVA = """#!/bin/sh
echo "class path $CLASSPATH"
echo "home $FLINK_HOME lib $FLINK_LIB_DIR conf $FLINK_CONF_DIR plugins $FLINK_PLUGINS_DIR"
for word; do echo "word $word"; done
"""
TASKS = "-Dmesos.resourcemanager.tasks."


class Sandbox:
    """A sandbox as the fetcher leaves it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.box, self.jdk = root / "box", root / "jdk"
        self.put("box/conf/config.yaml")
        self.put("box/secrets/krb5.keytab")
        for jar in ("flink-csv.jar", "flink-dist-1.20.5.jar", "zz top.jar"):
            self.put(f"box/flink/lib/{jar}")
        self.put("jdk/bin/java", JAVA).chmod(0o755)

    def put(self, name: str, content: str = "") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def run(self, *options: str, java: bool = True, runtime: str = "") -> subprocess.CompletedProcess[str]:
        """``runtime``: there is an archive of classes for that Java."""
        built = Built(list(options), self.root / "built")
        built.template = msgspec.structs.replace(built.template, archive_runtime=runtime)
        command = built.task().command
        assert command is not None
        given = {
            variable.name: variable.value or ""
            for variable in (command.environment and command.environment.variables) or ()
        }
        environment = {"PATH": os.defpath, "MESOS_SANDBOX": str(self.box), **given}
        if java:
            environment["JAVA_HOME"] = str(self.jdk)
        else:
            environment["PATH"] = str(self.tools())
        return subprocess.run(
            argv(command), cwd="/", env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def tools(self) -> Path:
        """A PATH without any Java."""
        tools = self.root / "tools"
        tools.mkdir(exist_ok=True)
        for name in ("mkdir", "chmod", "ln"):
            (tools / name).symlink_to(f"/bin/{name}")
        return tools


def argv(command: CommandInfo) -> list[str]:
    """As an agent runs it."""
    if command.shell is False:
        return [command.value or "", *(command.arguments or ())[1:]]
    return ["/bin/sh", "-c", command.value or ""]


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


@pytest.mark.parametrize("docker", [False, True])
def test_java_is_started_with_flink_last_on_the_class_path(sandbox: Sandbox, docker: bool) -> None:
    image = (TASKS + "container.type=docker", TASKS + "container.image.name=i", "-Dheadrace.taskmanager.flink-home=")
    ended = sandbox.run("-Denv.java.opts=-Dgreeting='a $HOME \"b'", *(image if docker else ()))
    assert ended.returncode == 0, ended.stderr
    assert "class path flink/lib/flink-csv.jar:flink/lib/zz top.jar:flink/lib/flink-dist-1.20.5.jar\n" in ended.stdout
    home = f"{sandbox.box}/flink"
    assert f"home {home} lib {home}/lib conf {sandbox.box}/conf plugins {home}/plugins\n" in ended.stdout
    words = [line.removeprefix("word ") for line in ended.stdout.splitlines() if line.startswith("word ")]
    assert words[0] == f"-Djava.io.tmpdir={sandbox.box / 'tmp'}"
    assert '-Dgreeting=a $HOME "b' in words
    assert words[-2:] == ["-D", "taskmanager.data.port=31001"]


RELEASE = 'IMPLEMENTOR="Debian"\nJAVA_VERSION="17.0.15"\nMODULES="java.base java.sql"\nOS_ARCH="x86_64"\n'


@pytest.mark.parametrize("linked", [False, True])
def test_java_starts_with_the_archive_of_its_classes(sandbox: Sandbox, linked: bool) -> None:
    """The jars get the time that they had when it was made, wherever they come from."""
    sandbox.put("jdk/release", RELEASE)
    driver = sandbox.put("box/conf/headrace-flink-driver.jar")
    if linked:  # as Debian's /usr/bin/java
        sandbox.jdk.rename(sandbox.root / "real")
        (sandbox.jdk / "bin").mkdir(parents=True)
        (sandbox.jdk / "bin/java").symlink_to(sandbox.root / "real/bin/java")
    ended = sandbox.run(runtime=runtime(sandbox.jdk / "bin/java"))
    assert ended.returncode == 0, ended.stderr
    words = [line.removeprefix("word ") for line in ended.stdout.splitlines() if line.startswith("word ")]
    assert words[1:5] == jvm.shared(["classes.jsa", "more-classes.jsa"])
    assert {jar.stat().st_mtime for jar in (*sandbox.box.glob("flink/lib/*.jar"), driver)} == {JAR_TIME}


@pytest.mark.parametrize("release", [RELEASE.replace("15", "16"), None])
def test_an_archive_for_another_java_is_left_alone(sandbox: Sandbox, release: str | None) -> None:
    if release is not None:
        sandbox.put("jdk/release", release)
    ended = sandbox.run(runtime=RELEASE.replace('MODULES="java.base java.sql"\n', "").strip())
    assert ended.returncode == 0
    assert "SharedArchiveFile" not in ended.stdout
    assert ended.stderr == ""


def test_configuration_and_secrets_are_for_the_owner_only(sandbox: Sandbox) -> None:
    sandbox.run()
    for name in ("conf", "conf/config.yaml", "secrets", "secrets/krb5.keytab", "tmp"):
        assert (sandbox.box / name).stat().st_mode & 0o077 == 0, name
    assert os.readlink(sandbox.box / "taskmanager.out") == "stdout"


@pytest.mark.parametrize("home", ["flink-1.20.5", "/absolute"])
def test_flink_elsewhere(sandbox: Sandbox, home: str) -> None:
    where = sandbox.root / "opt" if home == "/absolute" else sandbox.box / home
    sandbox.put(f"{where.relative_to(sandbox.root)}/lib/flink-dist-1.20.5.jar")
    given = str(where) if home == "/absolute" else home
    ended = sandbox.run(f"-Dheadrace.taskmanager.flink-home={given}")
    assert f"class path {given}/lib/flink-dist-1.20.5.jar\n" in ended.stdout
    assert f"home {where} " in ended.stdout


def test_another_version_of_flink_is_refused(sandbox: Sandbox) -> None:
    (sandbox.box / "flink/lib/flink-dist-1.20.5.jar").rename(sandbox.box / "flink/lib/flink-dist-1.19.0.jar")
    ended = sandbox.run()
    assert ended.returncode == 127
    assert f"No flink-dist-1.20.5.jar in {sandbox.box}/flink/lib" in ended.stderr


def test_no_java(sandbox: Sandbox) -> None:
    ended = sandbox.run(java=False)
    assert ended.returncode == 127
    assert "No Java runtime here" in ended.stderr


def test_bootstrap_runs_first_and_in_the_same_shell(sandbox: Sandbox) -> None:
    sandbox.put("box/flink2/lib/flink-dist-1.20.5.jar")
    ended = sandbox.run(TASKS + "bootstrap-cmd=echo first && A='b c' && echo $A $FLINK_HOME && touch conf/edited")
    assert ended.stdout.splitlines()[:2] == ["first", f"b c {sandbox.box}/flink"]
    assert (sandbox.box / "conf/edited").exists()


def test_bootstrap_that_fails_is_the_end(sandbox: Sandbox) -> None:
    ended = sandbox.run(TASKS + "bootstrap-cmd=echo no >&2; (exit 7)")
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "", "no\n")


def test_own_command_gets_flinks_options(sandbox: Sandbox) -> None:
    command = TASKS + 'taskmanager-cmd=echo "$TASK_NAME $FRAMEWORK_NAME [$JVM_ARGS]"; printf "<%s>"'
    ended = sandbox.run(command, "-Dmesos.resourcemanager.framework.name=my flink")
    first, rest = ended.stdout.split("\n", 1)
    assert first == "taskmanager-one-00001 my flink [-Xmx1 -Xms1]"
    assert rest.startswith("<-D><a=b>")
    assert "<taskmanager.rpc.port=31000>" in rest


def test_own_command_tells_its_status(sandbox: Sandbox) -> None:
    assert sandbox.run(TASKS + "taskmanager-cmd=exit 5 #").returncode == 5


def test_port_assignments_and_host_name(sandbox: Sandbox) -> None:
    assigned = TASKS + "port-assignments=metrics.reporter.prom.port, blob.port,taskmanager.rpc.port"
    out = sandbox.run(assigned, TASKS + "hostname=_TASK_.Flink.mesos").stdout
    for word in (
        "taskmanager.host=taskmanager-one-00001.flink.mesos",
        "taskmanager.bind-host=0.0.0.0",
        "taskmanager.rpc.port=31000",
        "taskmanager.data.port=31001",
        "metrics.reporter.prom.port=31002",
        "blob.port=31003",
    ):
        assert f"word {word}\n" in out
