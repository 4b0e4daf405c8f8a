"""Definitions: what is accepted, what is refused with which message, what is shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from headrace.marathon.definitions import reading, selector, update, writing
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected
from headrace.marathon.definitions.paths import canonical, safe, task_name
from headrace.marathon.definitions.pod import Pod
from headrace.marathon.definitions.rules import Context, check_app, check_pod, check_root
from headrace.marathon.definitions.run_spec import decode, encode

DATA = Path(__file__).parents[2] / "fixtures" / "marathon"
CASES = [
    case
    for case in json.loads((DATA / "validation-cases.json").read_text())
    if case["method"] == "POST" and case["path"] in ("/v2/apps", "/v2/pods") and "pre" not in case
]
DEFINITIONS = [
    (case["file"], flags, status)
    for case in json.loads((DATA / "expected.json").read_text())
    for flags, status in [
        (case["flags"], case["status"]),
        *([(case["alt"]["flags"], case["alt"]["status"])] if case["alt"] else []),
    ]
]
CHOSEN = {
    "constraint UNIQUE empty value": 201,  # old clients send it
    "constraint lower-case operator": 422,  # a mistake of the user, not of the server
}
"""Where Marathon's answer is a defect; docs/differences.md has them."""


def read(body: Any, flags: Iterable[str] = (), *, pod: bool = False) -> App | Pod:
    given = dict(flag.split() for flag in flags)
    role = given.get("--mesos_role", "*")
    network = given.get("--default_network_name")
    context = Context((role,), frozenset(given.get("--enable_features", "").split(",")))
    if pod:
        it = reading.read_pod(body, default_role=role, default_network=network)
        check_pod(it, context)
        return it
    app = reading.to_app(reading.read_fields(body, whole=True), default_role=role, default_network=network)
    check_app(app, context)
    return app


def read_app(body: Any) -> App:
    app = read(body)
    assert isinstance(app, App)
    return app


def attempt(raw: bytes, path: str, flags: Iterable[str]) -> tuple[int, dict[str, Any]]:
    try:
        read(reading.parse(raw), flags, pod=path.startswith("/v2/pods"))
    except Rejected as rejected:
        return rejected.status, rejected.body
    return 201, {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_validation_cases(case: dict[str, Any]) -> None:
    """Marathon's own cases: same status, message, path and error."""
    raw = case["raw"].encode() if "raw" in case else json.dumps(case["body"]).encode() if case["body"] else b""
    status, body = attempt(raw, case["path"], case.get("flags", ()))
    if case["name"] in CHOSEN:
        assert status == CHOSEN[case["name"]]
        return
    assert status == case["status"], body
    assert body.get("message", "") == case.get("message", body.get("message", ""))
    if "at" in case:
        (errors,) = [one["errors"] for one in body["details"] if one["path"] == case["at"]]
        assert any(case["error"] in error for error in errors), errors


@pytest.mark.parametrize(("file", "flags", "status"), DEFINITIONS)
def test_definitions_of_marathons_documentation_and_tests(file: str, flags: list[str], status: int) -> None:
    path = "/v2/pods" if "pod" in file or "containers" in json.loads((DATA / file).read_text()) else "/v2/apps"
    assert attempt((DATA / file).read_bytes(), path, flags)[0] == status


@pytest.mark.parametrize(("file", "flags", "status"), DEFINITIONS)
def test_what_is_shown_of_them_reads_back_as_the_same(file: str, flags: list[str], status: int) -> None:
    body = reading.parse((DATA / file).read_bytes())
    if status != 201:
        return
    it = read(body, flags, pod="containers" in body)
    shown = writing.whole_pod(it) if isinstance(it, Pod) else writing.whole(it)
    again = read(reading.parse(json.dumps(shown).encode()), flags, pod=isinstance(it, Pod))
    assert again == it
    assert decode(encode(it)) == it


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"secrets": {"s": {"source": "x"}}}, "/secrets"),
        ({"env": {"A": {"secret": "s"}}}, "/env/A"),
        ({"gpus": 1}, "/gpus"),
        ({"executor": "/my/executor"}, "/executor"),
        ({"role": "other"}, "/role"),
        ({"instances": 10**9}, "/instances"),
        ({"env": {"A=B": "1"}}, "/env/A=B"),
        ({"env": {"A": "\0"}}, "/env/A"),
        ({"cmd": "a\0b"}, "/cmd"),
        ({"resourceLimits": {"cpus": 0.1}}, "/resourceLimits/cpus"),
        ({"check": {"http": {}, "tcp": {}}}, "/check"),
        ({"check": {"http": {"portIndex": 7}}}, "/check"),
        ({"container": {"type": "MESOS", "volumes": [
            {"containerPath": "a/b", "mode": "RW", "persistent": {"size": 1}}]}},
         "/container/volumes(0)/containerPath"),
        ({"networks": [{"mode": "container", "name": "a"}, {"mode": "container", "name": "a"}]}, "/networks"),
        ({"networks": [{"mode": "container", "name": "a"}, {"mode": "container", "name": "b"}],
          "container": {"type": "MESOS", "portMappings": [{"hostPort": 0}]}},
         "/container/portMappings(0)/networkNames"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(Rejected) as refusal:
        read({"id": "/a", "cmd": "x", **fields})
    assert refusal.value.status == 422
    assert path in [one["path"] for one in refusal.value.body["details"]]


def test_all_violations_are_told_at_once() -> None:
    with pytest.raises(Rejected) as refusal:
        read_app({"id": 1, "cpus": "many", "instances": -1})
    assert [one["path"] for one in refusal.value.body["details"]] == ["/id", "/cpus", "/instances"]


def test_deprecated_fields_become_their_successors() -> None:
    app = read_app({"id": "/a", "cmd": "x", "uris": ["http://e/a.tgz", "http://e/b.jar"], "ports": [8080, 0]})
    assert [(one.uri, one.extract) for one in app.fetch] == [("http://e/a.tgz", True), ("http://e/b.jar", False)]
    assert [(one.port, one.name) for one in app.port_definitions] == [(8080, "default"), (0, None)]
    shown = writing.whole(app)
    assert "uris" not in shown
    assert "ports" not in shown


def test_no_port_definitions_is_one_port_but_an_empty_list_is_none() -> None:
    assert len(read_app({"id": "/a", "cmd": "x"}).port_definitions) == 1
    assert read_app({"id": "/a", "cmd": "x", "portDefinitions": []}).port_definitions == []


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"healthChecks": [{"path": "/жив"}]}, "/healthChecks(0)/path"),
        ({"healthChecks": [{"path": "/a b"}]}, "/healthChecks(0)/path"),
        ({"healthChecks": [{"path": "/a\r\nX: y"}]}, "/healthChecks(0)/path"),
        ({"healthChecks": [{"port": 70000}]}, "/healthChecks(0)/port"),
        ({"healthChecks": [{"protocol": "COMMAND", "command": {"value": "a\0"}}]}, "/healthChecks(0)/command/value"),
        ({"readinessChecks": [{"path": "/жив", "portName": "default"}]}, "/readinessChecks(0)/path"),
        ({"labels": {"a": "\0"}}, "/labels/a"),
        ({"constraints": [["rack", "LIKE", "(a+)+"]]}, "/constraints(0)"),
        ({"constraints": [["rack", "UNLIKE", "a" * 257]]}, "/constraints(0)"),
    ],
)
def test_what_could_not_be_carried_out_is_refused_at_the_door(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_app({"id": "/a", "cmd": "x"} | fields)
    assert caught.value.status == 422
    assert [one["path"] for one in caught.value.body["details"]] == [at]


@pytest.mark.parametrize("depth", [65, 900, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_refused(depth: int, opening: str, closing: str) -> None:
    for body in (opening * depth + "1" + closing * depth, opening * depth):
        with pytest.raises(Rejected) as caught:
            reading.parse(body.encode())
        assert (caught.value.status, caught.value.body["message"]) == (400, "Invalid JSON")
    fine = opening * 60 + "1" + closing * 60
    assert reading.parse(fine.encode())


def test_health_checks_are_shown_with_their_defaults() -> None:
    shown = writing.whole(read_app({"id": "/a", "cmd": "x", "healthChecks": [{"path": "/"}]}))
    assert shown["healthChecks"] == [
        {
            "protocol": "HTTP",
            "path": "/",
            "portIndex": 0,
            "gracePeriodSeconds": 300,
            "intervalSeconds": 60,
            "timeoutSeconds": 20,
            "maxConsecutiveFailures": 3,
            "delaySeconds": 15,
            "ignoreHttp1xx": False,
            "ipProtocol": "IPv4",
        }
    ]


def test_what_is_shown_reads_back_as_the_same() -> None:
    app = read_app(
        {
            "id": "/a/b",
            "args": ["sleep", "1"],
            "env": {"A": "1"},
            "constraints": [["hostname", "UNIQUE", ""]],
            "dependencies": ["../c"],
            "unreachableStrategy": "disabled",
            "healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}}],
            "readinessChecks": [{"portName": "default"}],
            "taskKillGracePeriodSeconds": 3,
        }
    )
    assert read(writing.definition(app)) == app
    assert decode(encode(app)) == app
    assert app.dependencies == ["/c"]
    assert app.constraints == [["hostname", "UNIQUE"]]


def test_a_partial_update_replaces_whole_top_level_fields() -> None:
    app = read_app({"id": "/a", "cmd": "x", "env": {"A": "1", "B": "2"}, "instances": 3})
    fields = reading.read_fields({"env": {"C": "3"}, "cmd": None, "tasksRunning": 4}, whole=False)
    updated = read_app(update.merged(app, fields))
    assert (updated.env, updated.cmd, updated.instances) == ({"C": "3"}, "x", 3)


def test_cmd_and_args_cannot_be_switched_by_a_partial_update() -> None:
    app = read_app({"id": "/a", "cmd": "x"})
    with pytest.raises(Rejected, match="not valid"):
        read(update.merged(app, {"args": ["y"]}))


def test_a_version_may_only_stand_alone() -> None:
    assert update.rollback_version({"version": "2026-01-01T00:00:00.000Z"}) == "2026-01-01T00:00:00.000Z"
    with pytest.raises(Rejected):
        update.rollback_version({"version": "2026-01-01T00:00:00.000Z", "cmd": "x"})


@pytest.mark.parametrize(
    ("path", "base", "expected"),
    [("a", "/", "/a"), ("//a//b/", "/", "/a/b"), ("../b", "/x/y", "/x/b"), ("/", "/", "/"), ("./a", "/g", "/g/a")],
)
def test_paths(path: str, base: str, expected: str) -> None:
    assert canonical(path, base) == expected


def test_names_made_from_paths() -> None:
    assert (safe("/a/b.c"), task_name("/a/b.c")) == ("a_b.c", "b.c.a")


@pytest.mark.parametrize(
    ("groups", "apps", "before"), [({"/a"}, {"/a"}, False), ({"/a", "/a/b"}, set(), False), ({"/a"}, set(), True)]
)
def test_an_app_is_neither_group_nor_pod(groups: set[str], apps: set[str], before: bool) -> None:
    new, other = read_app({"id": "/a/b", "cmd": "x"}), Pod("/a/b", [])
    with pytest.raises(Rejected, match="not valid"):
        check_root(new, other if before else None, groups.__contains__, dict.fromkeys(apps, new).get)
    check_root(new, new, {"/a"}.__contains__, {"/a/bc": new, "/ab": new}.get)


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("a", {"a": "1"}, True),
        ("a==1,b!=2", {"a": "1", "b": "3"}, True),
        ("b!=2", {}, False),
        ("a in (1, 2)", {"a": "2"}, True),
        ("a notin (1,2)", {"a": "3"}, True),
        ("a notin (1,2)", {}, False),
        (r"a == three\ is\ cool", {"a": "three is cool"}, True),
    ],
)
def test_label_selectors(text: str, labels: dict[str, str], expected: bool) -> None:
    assert selector.parse(text)(labels) is expected


@pytest.mark.parametrize("text", ["==", "a==", "a in", "a in ()", "a b", ",", "a,"])
def test_bad_label_selectors(text: str) -> None:
    with pytest.raises(Rejected, match="Can not parse"):
        selector.parse(text)
