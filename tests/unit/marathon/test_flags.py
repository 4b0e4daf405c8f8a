"""The table of flags, how it is read, and what the API shows of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from headrace import __version__
from headrace.kernel.daemon import UserError
from headrace.kernel.store.znodes import Policy
from headrace.kernel.zookeeper import ZooKeeperAddress
from headrace.marathon import flags
from headrace.marathon.flags.flag import Fate, Kind
from headrace.marathon.flags.shown import MARATHON_CONFIG, ZOOKEEPER_CONFIG
from headrace.marathon.flags.table import BY_SPELLING, TABLE

PARSED = set(vars(flags.parse(["--master=m:1"])))


def parse(*words: str, **environment: str) -> Any:
    return flags.parse(["--master=m:1", *words], environment)


def test_the_table_is_whole() -> None:
    names = [flag.name for flag in TABLE]
    assert len(names) == len(set(names))
    assert len(names) >= 138
    assert len(BY_SPELLING) == sum(len(flag.spellings) + len(flag.off_spellings) for flag in TABLE)
    assert [flag.name for flag in TABLE if not flag.about] == []
    assert [flag.name for flag in TABLE if bool(flag.why) is (flag.fate is Fate.HONOURED)] == []
    assert set(names) <= PARSED


@pytest.mark.parametrize("flag", TABLE, ids=lambda flag: flag.name)
def test_every_flag_can_be_given_and_does_what_the_table_says(flag: Any) -> None:
    value = {Kind.COUNT: "7", Kind.MILLISECONDS: "7", Kind.SECONDS: "7", Kind.PORT: "7"}.get(flag.kind, "a:b")
    own = {"executor": "//cmd", "enable_features": "vips", "zk": "zk://z:1/m", "zk_max_node_size": "50000"}
    value = flag.choices[0] if flag.choices else own.get(flag.name, value)
    word = f"--{flag.name}={value}" if flag.takes_value else f"--{flag.name}"
    needs = {"ha", "mesos_authentication", "disable_http", "mesos_authentication_principal", "local_port_max"}
    if flag.fate is Fate.REFUSED or flag.name in needs:
        with pytest.raises(UserError):
            parse(word)
    else:
        assert getattr(parse(word), flag.name) is not None
    if flag.kind is Kind.TOGGLE:
        assert getattr(parse(f"--disable_{flag.name}"), flag.name) is False


def test_spellings() -> None:
    for words in (
        ["--http_port", "81"],
        ["--http-port=81"],
        ["--port=81"],
        ["run_jar", "--http_port=81"],
        ["-Dx=y", "--port=81"],
    ):
        assert parse(*words).http_port == 81
    assert parse("--disable_http_compression", "--http-compression").http_compression is True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mesos_rol=x"], "there is no flag --mesos_rol; do you mean --mesos_role?"),
        (["--zk", "h:1/m"], "--zk zk://h:1/m is not understood; write zk://user:password@host:port"),
        (["--zk", "zk://h:1"], "--zk zk://h:1 names no znode"),
        (["--zk", "zk://u:hush@h:x/m"], "--zk zk://***@h:x/m: 'h:x' is no host:port"),
        (["--zk", "file:///none/of/it"], "--zk file:///none/of/it: can't be read"),
        (["--zk="], "--zk is empty"),
        (["--zk_max_node_size=9999"], "--zk_max_node_size is 9999; give 10000 bytes or more"),
        (["--zk_session_timeout=0"], "--zk_session_timeout is 0; give 1 or more"),
        (["--metrics_statsd"], "--metrics_statsd is not supported: have /metrics/prometheus"),
        (["--backup_location=file:///b"], "copy the directory --data"),
        (["--plugin-dir=/p"], "--plugin-dir is not supported: there are no plug-ins"),
        (["--launch_tokens", "many"], "'many' is not a whole number"),
        (["--task_launch_timeout=-1"], "'-1' is not a time"),
        (["--logging_level=loud"], "invalid choice: 'loud'"),
        (["--ha"], "--ha needs --zk"),
        (["--disable_http"], "--disable_http needs HTTPS"),
        (["--http_credentials=me"], "give user:password"),
        (["--executor=/bin/mine"], "custom executors are not supported"),
        (["--mesos_authentication"], "needs --mesos_authentication_principal"),
        (["--mesos_authentication_secret=a", "--mesos_authentication_secret_file=b"], "both give the secret"),
        (["--enable_features=vips,warp"], "there is no warp"),
        (["--max_instances_per_offer=0"], "--max_instances_per_offer is 0; give 1 or more"),
        (["--local_port_min", "5", "--local-port-max", "4"], "no range of ports"),
    ],
)
def test_mistakes(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as raised:
        parse(*words)
    assert message in str(raised.value)


def test_the_environment() -> None:
    found = parse(
        MARATHON_HOSTNAME="box", MARATHON_DISABLE_CHECKPOINT="", MARATHON_APP_ID="/m", MARATHON_CONTAINER_ID="c"
    )
    assert (found.hostname, found.checkpoint) == ("box", False)
    assert flags.parse([], {"MARATHON_MASTER": "m:2"}).master == "m:2"
    assert parse(MESOSPHERE_HTTP_CREDENTIALS="a:b").http_credentials == "a:b"
    assert parse("--http_credentials=c:d", MESOSPHERE_HTTP_CREDENTIALS="a:b").http_credentials == "c:d"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"MARATHON_MASTER": "m:2"}, "--master stands on the command line and MARATHON_MASTER in the environment"),
        ({"MARATHON_HOSTNAME": ""}, "MARATHON_HOSTNAME in the environment is empty"),
        ({"MARATHON_CHECKPOINT": "no"}, "write MARATHON_CHECKPOINT=, or MARATHON_DISABLE_CHECKPOINT="),
        ({"MARATHON_ZK": "zk://h"}, "--zk zk://h names no znode"),
    ],
)
def test_mistakes_in_the_environment(environment: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as raised:
        parse(**environment)
    assert message in str(raised.value)


def test_other_variables_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        parse(MARATHON_URL="http://m:8080")
    assert "MARATHON_URL in the environment is no flag of Marathon" in caplog.text


def test_what_the_core_is_told() -> None:
    words = (
        "--scale_apps_interval=60000",
        "--draining_seconds=5",
        "--disable_suppress_offers",
        "--kill_retry_timeout=1500",
        "--max_queued_root_group_updates=7",
    )
    settings = flags.settings(parse(*words))
    told = (
        settings.scale_apps_interval,
        settings.draining_seconds,
        settings.suppress_offers,
        settings.kill_retry_interval,
        settings.max_queued_root_group_updates,
    )
    assert told == (60.0, 5.0, False, 1.5, 7)
    assert flags.settings(parse()).max_queued_root_group_updates == 500


def test_where_the_state_is() -> None:
    alone, many = parse(), parse("--zk=zk://u:hush@a,b:2/m/n", "--zk_max_node_size=20000")
    assert (alone.ha, flags.zookeeper(alone), flags.info(alone, {})["zookeeper_config"]["zk"]) == (False, None, None)
    assert many.ha is True
    assert flags.zookeeper(many) == ZooKeeperAddress(("a:2181", "b:2"), "/m/n", "u:hush")
    assert flags.policy(many) == Policy(20_000, 65_536)
    assert flags.policy(parse("--disable_zk_compression")) == Policy(800_000, None)
    assert parse("--zk=zk://a/m", "--disable_ha").ha is False
    shown = flags.info(many, {})
    assert shown["zookeeper_config"]["zk"] == "zk://***@a,b:2/m/n"
    assert "hush" not in str([shown, flags.config(many)])


def test_where_the_state_is_can_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "zk"
    file.write_text("zk://u:hush@a:1/m\n")
    options = parse(f"--zk=file://{file}")
    assert flags.zookeeper(options) == ZooKeeperAddress(("a:1",), "/m", "u:hush")
    assert "hush" not in str(flags.config(options))


def test_info_has_marathon_s_keys() -> None:
    info = flags.info(
        parse("--enable_features=vips, secrets", "--launch_tokens=7"), {"http_port": 1, "https_port": None}
    )
    assert set(info["marathon_config"]) == set(MARATHON_CONFIG)
    assert set(info["zookeeper_config"]) == set(ZOOKEEPER_CONFIG)
    config = info["marathon_config"]
    assert (config["features"], config["launch_token"], config["mesos_user"] != "") == (["secrets", "vips"], 7, True)
    assert (config["failover_timeout"], type(config["failover_timeout"])) == (604_800, int)


def test_scripts_find_a_version_of_marathon_and_people_that_of_headrace() -> None:
    info = flags.info(parse(), {})
    assert tuple(map(int, info["version"].split("."))) >= (1, 5, 0)
    assert info["buildref"] == f"headrace {__version__}"


@pytest.mark.parametrize("role", ["a/../b", "/a", "a b", "-a"])
def test_what_the_master_would_refuse_as_a_role_is_refused(role: str) -> None:
    with pytest.raises(UserError, match="--mesos_role: Role"):
        parse(f"--mesos_role={role}")
    assert parse("--mesos_role=a/b").mesos_role == "a/b"


def test_no_secret_is_shown() -> None:
    words = ("--http_credentials=me:hidden", "--ssl_keystore_password=hidden", "--mesos_authentication_secret=hidden")
    shown = flags.config(parse(*words))
    assert "hidden" not in str(shown)
    assert shown["http_credentials"] == "***"
    assert "hidden" not in str(flags.info(parse(*words), {}))


@pytest.mark.parametrize(
    ("level", "expected"), [("off", "CRITICAL"), ("Warn", "WARNING"), ("trace", "DEBUG"), ("info", "INFO")]
)
def test_log_levels(level: str, expected: str) -> None:
    assert flags.log_level(parse(f"--logging_level={level}")) == expected


@pytest.mark.parametrize(
    ("words", "host"),
    [
        ((), "127.0.0.1"),
        (("--host=0.0.0.0",), "this-machine"),
        (("--host=::",), "this-machine"),
        (("--host=0.0.0.0", "--hostname=marathon.example"), "marathon.example"),
    ],
)
def test_others_are_told_of_a_host_that_they_can_reach(
    words: tuple[str, ...], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "this-machine")
    assert flags.advertised(parse(*words)) == host
