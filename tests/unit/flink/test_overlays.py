"""Overlays: what is shipped to TaskManagers, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.flink.overlays import collect
from headrace.flink.overlays.shipment import Ground, Shipment
from headrace.kernel.daemon import UserError
from tests.unit.flink.observing import Built, flink_home


def file(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def shipped(
    root: Path,
    options: dict[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    home: str = "",
    own_command: bool = False,
) -> Shipment:
    return collect(Ground(options or {}, environment or {}, flink_home(root), "me", home, own_command))


def targets(shipment: Shipment) -> list[str]:
    return [artifact.target for artifact in shipment.artifacts]


def private(shipment: Shipment) -> dict[str, str]:
    return {artifact.target: artifact.source.read_text() for artifact in shipment.artifacts if not artifact.digest}


def test_flinks_jars(tmp_path: Path) -> None:
    assert targets(shipped(tmp_path)) == ["flink/lib/flink-csv.jar", "flink/lib/flink-dist-1.20.5.jar"]
    assert not private(shipped(tmp_path))


def test_nothing_of_flink_where_it_is_already(tmp_path: Path) -> None:
    file(tmp_path / "flink/plugins/s3/s3.jar")
    assert targets(shipped(tmp_path, home="/opt/flink")) == []


def test_plugins_and_scripts(tmp_path: Path) -> None:
    for name in ("plugins/s3/s3.jar", "plugins/metrics-jmx/jmx.jar", "plugins/external-resource-gpu/gpu.jar"):
        file(tmp_path / "flink" / name)
    file(tmp_path / "flink/bin/taskmanager.sh").chmod(0o755)
    assert targets(shipped(tmp_path))[2:] == ["flink/plugins/s3/s3.jar"]
    options = {"metrics.reporters": "a", "external-resources": "gpu"}
    everything = shipped(tmp_path, options, own_command=True)
    assert targets(everything)[2:] == [
        "flink/plugins/external-resource-gpu/gpu.jar",
        "flink/plugins/metrics-jmx/jmx.jar",
        "flink/plugins/s3/s3.jar",
        "flink/bin/taskmanager.sh",
    ]
    assert [artifact.executable for artifact in everything.artifacts] == [False] * 5 + [True]


def test_users_jars(tmp_path: Path) -> None:
    file(tmp_path / "flink/usrlib/a.jar", "abc")
    file(tmp_path / "flink/usrlib/deep/b.jar")
    shipment = shipped(tmp_path, home="/opt/flink")
    assert targets(shipment) == ["usrlib/a.jar", "usrlib/deep/b.jar"]
    assert shipment.artifacts[0].digest.startswith("ba7816bf")  # SHA-256 of abc


@pytest.mark.parametrize("source", ["option", "HADOOP_CONF_DIR", "HADOOP_HOME/conf", "HADOOP_HOME/etc/hadoop"])
def test_hadoops_configuration(tmp_path: Path, source: str) -> None:
    home = tmp_path / "hadoop"
    directory = {"HADOOP_HOME/conf": home / "conf", "HADOOP_HOME/etc/hadoop": home / "etc/hadoop"}.get(
        source, home / "x"
    )
    for name in ("core-site.xml", "hdfs-site.xml", "yarn-site.xml"):
        file(directory / name)
    options = {"fs.hdfs.hadoopconf": str(directory)} if source == "option" else {}
    environment = {
        "option": {},
        "HADOOP_CONF_DIR": {"HADOOP_CONF_DIR": str(directory)},
    }.get(source, {"HADOOP_HOME": str(home), "HADOOP_CONF_DIR": str(tmp_path)})
    shipment = shipped(tmp_path, options, environment, home="/f")
    assert targets(shipment) == ["hadoop/conf/core-site.xml", "hadoop/conf/hdfs-site.xml"]
    assert set(private(shipment)) == set(targets(shipment))
    assert shipment.options == {"fs.hdfs.hadoopconf": "hadoop/conf"}
    assert shipment.environment == {"HADOOP_CONF_DIR": "hadoop/conf", "HADOOP_USER_NAME": "me"}


def test_hadoops_user_of_the_environment(tmp_path: Path) -> None:
    for name in ("core-site.xml", "hdfs-site.xml"):
        file(tmp_path / name)
    environment = {"HADOOP_CONF_DIR": str(tmp_path), "HADOOP_USER_NAME": "hdfs"}
    assert shipped(tmp_path, {}, environment).environment["HADOOP_USER_NAME"] == "hdfs"


def test_hadoops_directory_of_the_environment_may_be_another_machines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert targets(shipped(tmp_path, {}, {"HADOOP_CONF_DIR": "/nowhere"}, home="/f")) == []
    assert "/nowhere" in caplog.text


def test_keytab(tmp_path: Path) -> None:
    option = "security.kerberos.login.keytab"
    shipment = shipped(tmp_path, {option: str(file(tmp_path / "k", "key"))}, home="/f")
    assert private(shipment) == {"secrets/krb5.keytab": "key"}
    assert shipment.options == {option: "secrets/krb5.keytab"}


@pytest.mark.parametrize("by_argument", [False, True])
def test_kerberos_configuration(tmp_path: Path, by_argument: bool) -> None:
    path = file(tmp_path / "k.conf", "realms")
    named = {"security.kerberos.krb5-conf.path": str(path)}
    options = {"env.java.opts.all": f"-Djava.security.krb5.conf={path}"} if by_argument else named
    shipment = shipped(tmp_path, options, home="/f")
    assert private(shipment) == {"krb5.conf": "realms"}
    assert shipment.jvm_arguments == ("-Djava.security.krb5.conf=krb5.conf",)
    assert shipment.master_jvm_arguments == (f"-Djava.security.krb5.conf={path}",)


def test_what_a_jvm_is_told_last_counts(tmp_path: Path) -> None:
    """The path in the user's argument is one of this machine."""
    path = file(tmp_path / "k.conf")
    built = Built([f"-Denv.java.opts=-Djava.security.krb5.conf={path}"], tmp_path)
    told = [word for word in built.words() if word.startswith("-Djava.security.krb5.conf")]
    assert told[-1] == "-Djava.security.krb5.conf=krb5.conf"


def test_ssl_stores_of_all_sides(tmp_path: Path) -> None:
    options = {}
    for side in ("", "internal.", "rest."):
        for kind in ("keystore", "truststore"):
            suffix = "p12" if side else "jks"
            options[f"security.ssl.{side}{kind}"] = str(file(tmp_path / f"{side}{kind}/store.{suffix}", side + kind))
    shipment = shipped(tmp_path, options, home="/f")
    assert private(shipment) == {
        f"secrets/{side}{kind}.{'p12' if side else 'jks'}": side + kind
        for side in ("", "internal.", "rest.")
        for kind in ("keystore", "truststore")
    }
    assert set(shipment.options) == set(options)
    assert set(shipment.options.values()) == set(private(shipment))


@pytest.mark.parametrize(
    "option",
    [
        "security.kerberos.login.keytab",
        "security.kerberos.krb5-conf.path",
        "fs.hdfs.hadoopconf",
        *(f"security.ssl.{s}{k}" for s in ("", "internal.", "rest.") for k in ("keystore", "truststore")),
    ],
)
def test_a_file_that_is_missing_is_named(tmp_path: Path, option: str) -> None:
    with pytest.raises(UserError) as error:
        shipped(tmp_path, {option: "/no/where"})
    assert f"option {option}: /no/where" in str(error.value)


def test_a_directory_is_no_keytab(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Is a directory"):
        shipped(tmp_path, {"security.kerberos.login.keytab": str(tmp_path)})


def test_environment(tmp_path: Path) -> None:
    options = {"containerized.taskmanager.env.A": "1 $x", "containerized.master.env.B": "2"}
    shipment = shipped(tmp_path, options)
    assert (shipment.environment, shipment.master_environment) == ({"A": "1 $x"}, {"B": "2"})


def test_no_secret_is_on_a_command_line_or_in_a_cache(tmp_path: Path) -> None:
    """Passwords travel in the configuration, which is private like the stores themselves."""
    stores = {f"security.ssl.internal.{kind}": str(file(tmp_path / kind)) for kind in ("keystore", "truststore")}
    passwords = {f"security.ssl.internal.{kind}-password": "hunter2" for kind in ("key", "keystore", "truststore")}
    ours = {
        "mesos.resourcemanager.framework.principal": "p",
        "mesos.resourcemanager.framework.secret": "hunter2",
    }
    built = Built([f"-D{key}={value}" for key, value in {**stores, **passwords, **ours}.items()], tmp_path)
    assert built.task_manager_options["security.ssl.internal.key-password"] == "hunter2"
    assert built.task_manager_options["security.ssl.internal.keystore"] == "secrets/internal.keystore.jks"
    assert not any("hunter2" in word for word in (*built.words(), *built.job_manager_command))
    assert "hunter2" not in str(built.task())
    assert "framework.secret" not in str(built.task_manager_options) + str(built.job_manager_options)
    uris = {uri.output_file: uri for uri in built.uris}
    assert uris["secrets/internal.keystore.jks"].cache is False
    assert "key=" in uris["secrets/internal.keystore.jks"].value
    assert uris["flink/lib/flink-csv.jar"].cache is True
