import pytest

from headrace.flink import jvm


def _job_manager(*user: str) -> list[str]:
    return jvm.job_manager(
        java="java", sizes=["-Xmx1m"], user=user, class_path=["a.jar", "b.jar"], conf_dir="c", log="l"
    )


def test_the_job_manager_starts_quickly_and_the_users_arguments_come_last() -> None:
    argv = _job_manager("-Dx=y z")
    assert argv[0] == "java"
    assert argv.index("-XX:TieredStopAtLevel=1") < argv.index("-Dx=y z") < argv.index("-classpath")
    assert argv[-4:] == ["a.jar:b.jar", jvm.JOB_MANAGER_MAIN, "--configDir", "c"]


@pytest.mark.parametrize(
    ("user", "collectors"),
    [((), ["-XX:+UseSerialGC"]), (("-XX:+UseZGC",), ["-XX:+UseZGC"]), (("-XX:+UseTLAB",), ["-XX:+UseSerialGC"])],
)
def test_a_jvm_never_gets_two_garbage_collectors(user: tuple[str, ...], collectors: list[str]) -> None:
    assert [a for a in _job_manager(*user) if a.startswith("-XX:+Use") and a.endswith("GC")] == collectors


def test_a_task_manager_gets_what_flink_asked_for_it() -> None:
    argv = jvm.task_manager(sizes=["-Xmx1m"], user=[], conf_dir="c", log="l", dynamic=["-D", "taskmanager.x=1"])
    assert argv[0] == "-XX:+UseG1GC"
    assert argv[-5:] == [jvm.TASK_MANAGER_MAIN, "--configDir", "c", "-D", "taskmanager.x=1"]


def test_an_archive_of_classes_never_stops_a_start() -> None:
    assert not any("Shared" in argument for argument in _job_manager())
    argv = jvm.job_manager(
        java="java", sizes=[], user=["-Xshare:off"], class_path=["a.jar"], conf_dir="c", log="l", archive=["/a b", "/c"]
    )
    assert argv[1:3] == ["-Xshare:auto", "-XX:SharedArchiveFile=/a b:/c"]
    assert "-Xshare:off" in argv[3:]  # the user's come later and win
