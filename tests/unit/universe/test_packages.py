"""Packages of the Universe: options, what they are rendered to, and that ours starts the application master."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from headrace.flink.options import check_names, parse_arguments, with_present_names
from headrace.kernel.daemon import UserError
from headrace.marathon.definitions import reading
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.rules import Context, check_app
from headrace.universe import packages, schema

PUBLISHED = Path(__file__).parent / "published"
"""Two releases of the package flink, as the Universe had them."""

# What the Universe's own package flink 1.2.0-1.0 looks like, cut down to one option of each kind.
CONFIG = {
    "type": "object",
    "properties": {
        "service": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "default": "flink"},
                "slots": {"type": "integer", "default": 1, "minimum": 1},
            },
        },
        "app-master": {
            "type": "object",
            "properties": {
                "cpus": {"type": "number", "default": 1, "minimum": 0.1},
                "memory": {"type": "number", "default": 1024.0, "minimum": 1024},
            },
        },
        "task-managers": {
            "type": "object",
            "properties": {"preallocate": {"type": "boolean", "default": True}, "hosts": {"type": "array"}},
        },
    },
}
TEMPLATE = """{
  "id": "{{service.name}}",
  "cpus": {{app-master.cpus}},
  "mem": {{app-master.memory}},
  "cmd": "\\"$FLINK_HOME/bin/mesos-appmaster.sh\\" -Dtaskmanager.memory.preallocate={{task-managers.preallocate}}",
  "container": {"type": "DOCKER", "docker": {"image": "{{resource.assets.flink}}", "network": "HOST"}},
  "portDefinitions": [{"port": 0}],
  "labels": {"DCOS_SERVICE_NAME": "{{service.name}}"}
}"""


def write(directory: Path, **files: Any) -> Path:
    directory.mkdir(parents=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (directory / (name.replace("__", ".") + (".mustache" if name.startswith("marathon") else ""))).write_text(text)
    return directory


@pytest.fixture
def universe(tmp_path: Path) -> Path:
    for release, version in ((0, "1.2.0-1.0"), (10, "1.4.2-1.0"), (4, "1.3.1-1.2")):
        write(
            tmp_path / "flink" / str(release),
            package__json={"name": "flink", "version": version, "framework": True},
            config__json=CONFIG,
            marathon__json=TEMPLATE,
            resource__json={"assets": {"flink": "mesosphere/dcos-flink:" + version}},
        )
    write(tmp_path / "H" / "httpbin" / "0", package__json={"name": "httpbin", "version": "1"}, marathon__json="{}")
    return tmp_path


def as_app(definition: dict[str, Any]) -> App:
    return reading.to_app(reading.read_fields(definition, whole=True), default_role="*")


def test_newest_is_the_highest_release_and_a_version_can_be_asked_for(universe: Path) -> None:
    assert packages.find(universe, "flink").version == "1.4.2-1.0"
    assert packages.find(universe, "flink", "1.3.1-1.2").release == 4
    assert packages.names(universe) == ["flink", "httpbin"]
    assert packages.find(universe, "httpbin").version == "1"
    with pytest.raises(UserError, match="versions: 1.2.0-1.0, 1.3.1-1.2, 1.4.2-1.0"):
        packages.find(universe, "flink", "9")
    with pytest.raises(UserError, match="packages there: flink, httpbin"):
        packages.find(universe, "spark")


def test_template_becomes_an_app_with_the_defaults(universe: Path) -> None:
    definition = packages.rendered(packages.find(universe, "flink"), {})
    app = as_app(definition)
    assert (app.id, app.cpus, app.mem, app.instances) == ("/flink", 1, 1024, 1)
    assert app.cmd == '"$FLINK_HOME/bin/mesos-appmaster.sh" -Dtaskmanager.memory.preallocate=true'
    assert definition["container"]["docker"]["image"] == "mesosphere/dcos-flink:1.4.2-1.0"


@pytest.mark.parametrize("version", ["1.2.0-1.0", "1.4.2-1.0"])
def test_s0_15_published_packages_become_apps_with_their_defaults(version: str) -> None:
    definition = packages.rendered(packages.find(PUBLISHED, "flink", version), {})
    app = as_app(definition)
    assert (app.id, app.cpus, app.mem, app.instances) == ("/flink", 1, 1024, 1)
    assert [port.port for port in app.port_definitions] == [0, 0, 0, 0, 0]
    assert [check.path for check in app.health_checks] == ["/"]
    assert definition["container"]["docker"]["image"].startswith("mesosphere/dcos-flink:")
    assert definition["labels"]["DCOS_SERVICE_SCHEME"] == "http"
    if version == "1.2.0-1.0":
        assert " -Djobmanager.heap.mb=256 " in (app.cmd or "")
        assert " -Dmesos.initial-tasks=1 " in (app.cmd or "")
        assert " -Dtaskmanager.memory.preallocate=true " in (app.cmd or "")
    else:
        assert app.env["FLINK_TASK_MANAGER_MEM_PREALLOCATION"] == "true"
        assert app.env["FLINK_APP_MASTER_HEAP"] == "256"
        assert "FLINK_SSL_ENABLED" not in app.env


def test_options_are_merged_deeply_over_the_defaults(universe: Path) -> None:
    package = packages.find(universe, "flink")
    settled = packages.settled(package, {"service": {"slots": 4}, "task-managers": {"hosts": ["a"]}})
    assert settled["service"] == {"name": "flink", "slots": 4}
    assert settled["task-managers"] == {"preallocate": True, "hosts": ["a"]}
    assert settled["app-master"]["memory"] == 1024


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"service": {"slots": 0}}, "service.slots: must be at least 1, not 0"),
        ({"service": {"slots": 1.5}}, "service.slots: must be an integer, not 1.5"),
        ({"service": {"slots": True}}, "service.slots: must be an integer, not true"),
        ({"service": {"name": 7}}, "service.name: must be a string, not 7"),
        ({"app-master": {"memory": 512}}, "app-master.memory: must be at least 1024, not 512"),
        ({"app-master": 1}, "app-master: must be an object, not 1"),
        ({"task-managers": {"preallocate": "yes"}}, 'task-managers.preallocate: must be a boolean, not "yes"'),
    ],
)
def test_wrong_options_are_named_by_their_path(universe: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as raised:
        packages.rendered(packages.find(universe, "flink"), options)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("rules", "value", "said"),
    [
        ({"enum": ["a", "b"]}, "c", 'x: must be one of "a", "b", not "c"'),
        ({"type": "string", "minLength": 1}, "", "x: must have 1 characters or more"),
        ({"type": "string", "pattern": "^a"}, "b", 'x: is "b", which does not match ^a'),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, 0, "x: must be more than 0, not 0"),
        ({"type": "number", "maximum": 2}, 3, "x: must be at most 2, not 3"),
        ({"type": "array", "minItems": 1}, [], "x: must have 1 items or more, not 0"),
        ({"type": "array", "items": {"type": "string"}}, ["a", 1], "x[1]: must be a string, not 1"),
        ({"type": "object", "required": ["y"]}, {}, "x.y: is missing"),
        ({"type": ["string", "null"]}, 1, "x: must be a string or a null, not 1"),
        ({"properties": {"name": {}}, "additionalProperties": False}, {"nmae": 1}, "did you mean name?"),
    ],
)
def test_rules_of_a_schema(rules: dict[str, Any], value: Any, said: str) -> None:
    (line,) = schema.problems({"properties": {"x": rules}}, {"x": value})
    assert said in line


def test_app_carries_what_lists_of_installed_packages_need_but_no_secrets(universe: Path) -> None:
    package = packages.find(universe, "flink")
    options = {"service": {"slots": 2, "secret": "s3cret"}}
    labels = packages.rendered(package, options, "/other")["labels"]
    assert labels["DCOS_PACKAGE_NAME"] == "flink"
    assert labels["DCOS_PACKAGE_VERSION"] == "1.4.2-1.0"
    assert json.loads(base64.b64decode(labels["DCOS_PACKAGE_OPTIONS"])) == {"service": {"slots": 2}}
    assert json.loads(base64.b64decode(labels["DCOS_PACKAGE_DEFINITION"]))["releaseVersion"] == 10
    assert packages.rendered(package, options, "/other")["id"] == "/other"


def test_no_secret_gets_into_a_label_at_any_depth() -> None:
    secrets = dict.fromkeys(("access-key", "api-token", "credentials", "private_key", "passwd", "keyTab"), "x")
    rules = {
        "properties": {
            "a": {"format": "password"},
            "b": {"media": {"type": "application/x-secret"}},
            "l": {"items": {"properties": {"c": {"writeOnly": True}}}},
        }
    }
    options = {"a": "x", "b": "x", "l": [{"c": "x", "d": 1, **secrets}, [secrets]], "s3": {**secrets, "keys": 3}}
    assert schema.without_secrets(rules, options) == {"l": [{"d": 1}, [{}]], "s3": {"keys": 3}}


@pytest.mark.parametrize("pattern", ["(", 1])
def test_a_pattern_that_is_none_is_the_packages_mistake(pattern: Any) -> None:
    (line,) = schema.problems({"properties": {"x": {"pattern": pattern}}}, {"x": "y"})
    assert line.startswith("x: can't be checked: the package's config.json has the pattern ")
    assert schema.defaults({"properties": {"a": []}}) == {}


def test_files_that_are_wrong_are_named(tmp_path: Path) -> None:
    broken = write(tmp_path / "a" / "0", package__json="{", marathon__json="{}")
    with pytest.raises(UserError, match=r"a/0/package.json: "):
        packages.read(broken)
    nameless = write(tmp_path / "b" / "0", package__json={"version": "1"}, marathon__json="{}")
    with pytest.raises(UserError, match="name must be a text"):
        packages.read(nameless)
    no_template = write(tmp_path / "c" / "0", package__json={"name": "c", "version": "1"})
    with pytest.raises(UserError, match=r"marathon.json.mustache can't be read"):
        packages.read(no_template)
    no_json = write(tmp_path / "d" / "0", package__json={"name": "d", "version": "1"}, marathon__json="[{{x}}]")
    with pytest.raises(UserError, match="does not become a JSON object"):
        packages.rendered(packages.read(no_json), {})
    with pytest.raises(UserError, match="has no options"):
        packages.rendered(packages.read(no_json), {"x": 1})
    with pytest.raises(UserError, match="is no directory of packages"):
        packages.names(tmp_path / "missing")


def started(options: dict[str, Any], tmp_path: Path) -> list[str]:
    """The arguments that the application master gets from our own package."""
    definition = packages.rendered(packages.find(packages.BUILT_IN, "flink"), options)
    app = as_app(definition)
    check_app(app, Context())
    stub = tmp_path / "mesos-appmaster.sh"
    stub.write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\0" "$word"; done\n')
    stub.chmod(0o755)
    environment = {**{k: str(v) for k, v in app.env.items()}, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/sh", "-c", app.cmd or ""], cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    return done.stdout.decode().split("\0")[:-1]


def test_s0_15_our_package_starts_the_application_master_with_its_options(tmp_path: Path) -> None:
    options = parse_arguments(started({}, tmp_path))
    check_names(with_present_names(options))
    assert options["mesos.master"] == "127.0.0.1:5050"
    assert options["mesos.resourcemanager.framework.name"] == "flink"
    assert options["mesos.initial-tasks"] == "1"
    assert options["mesos.resourcemanager.tasks.mem"] == "1024"
    assert options["taskmanager.numberOfTaskSlots"] == "1"
    assert not [key for key in options if "principal" in key or "heap" in key]


def test_options_of_our_package_are_never_shell(tmp_path: Path) -> None:
    evil = '"; touch pwned; $(touch pwned) `touch pwned` *'
    service = {"hostattribute": evil, "principal": "p q", "extra-args": "-Da=1 -Db=$(touch${IFS}pwned)"}
    options = parse_arguments(started({"service": service, "app-master": {"heap": 512}}, tmp_path))
    assert options["mesos.constraints.hard.hostattribute"] == evil
    assert options["mesos.resourcemanager.framework.principal"] == "p q"
    assert options["jobmanager.heap.mb"] == "512"
    assert options["a"] == "1"
    assert options["b"] == "$(touch${IFS}pwned)"
    assert not (tmp_path / "pwned").exists()
