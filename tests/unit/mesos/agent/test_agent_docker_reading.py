"""What the engine answers: frames, output that goes on after any break, pulls, credentials, ends."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.kernel.process import Ended
from headrace.mesos.agent.docker.engine import EngineContainer
from headrace.mesos.agent.docker.frames import FrameDecoder, FrameError
from headrace.mesos.agent.docker.images import PullError, PullProgress, credentials, with_tag
from headrace.mesos.agent.docker.log_place import LogCopy, LogPlace, unix_time
from headrace.mesos.agent.docker.output import append, sizes
from headrace.mesos.agent.docker.watching import end_of
from headrace.mesos.agent.sandbox.log_rotation import rotate


def framed(stream: int, data: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40))), st.lists(st.integers(1, 30)))
def test_frames_come_whole_however_they_are_cut(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    content = b"".join(framed(*frame) for frame in frames)
    decoder, got = FrameDecoder(), []
    for cut in [*cuts, len(content)]:
        got += decoder.feed(content[:cut])
        content = content[cut:]
    assert got == frames


@pytest.mark.parametrize("content", [b"\x04\0\0\0\0\0\0\1x", b"hello world", b"\1\0\0\0\xff\xff\xff\xff"])
def test_what_is_not_framed_is_refused(content: bytes) -> None:
    with pytest.raises(FrameError, match="not framed"):
        FrameDecoder().feed(content)


# output


class Engine:
    """Keeps entries as the engine does: (order, stream, time, data)."""

    def __init__(self, steps: list[tuple[int, int, bytes, int]]) -> None:
        clock, latest = 100.0, {1: 0.0, 2: 0.0}
        self.entries = []
        for stream, pause, data, late in steps:
            clock += pause / 4
            # an entry may have got its time a little earlier than the one of the other stream before it
            at = latest[stream] = max(clock - late / 100, latest[stream])
            self.entries.append((stream, at, data))

    def logs(self, since: str, count: int) -> list[tuple[int, float, bytes]]:
        """As many of the entries from ``since`` on as there are among the first ``count``."""
        found = [entry for entry in self.entries[:count] if entry[1] >= float(since)]
        return [(stream, at, stamp(at).encode() + b" " + data) for stream, at, data in found]


def stamp(at: float) -> str:
    nanoseconds = round(at * 1e9)
    return f"1970-01-01T{nanoseconds // 3_600_000_000_000:02}:{nanoseconds // 60_000_000_000 % 60:02}:" + (
        f"{nanoseconds // 1_000_000_000 % 60:02}.{nanoseconds % 1_000_000_000:09}Z"
    )


_STEP = st.tuples(
    st.sampled_from((1, 2)), st.sampled_from((0, 0, 1, 24)), st.binary(min_size=1, max_size=6), st.integers(0, 3)
)


@settings(max_examples=150)
@given(
    st.lists(_STEP, min_size=5, max_size=40),
    st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.integers(0, 5)), max_size=6),
    st.booleans(),
)
def test_output_is_copied_once_whatever_breaks_off(
    steps: list[tuple[int, int, bytes, int]], breaks: list[tuple[int, bool, int]], replay_all: bool
) -> None:
    """At each break, the copier is made anew from what is kept, or goes on; a write may have been cut short."""
    engine = Engine(steps)
    place, files = LogPlace((3, 2)), [bytearray(b"old"), bytearray(b"er")]
    copy = LogCopy(place, (3, 2))
    for count, restarted, lost in [*sorted(breaks), (len(steps), replay_all, 0)]:
        data = b""
        for stream, at, entry in engine.logs(copy.begin(), count):
            which, data = copy.take(stream, entry, at)
            files[which] += data
            place = copy.place()
        if restarted:
            copy = LogCopy(place, [len(file) for file in files])
        elif lost and data and lost < len(data):  # the disk was full: only a part of the last write is on file
            del files[which][-lost:]
            copy = LogCopy(copy.place(), [len(file) for file in files])
    for stream, at, entry in engine.logs(copy.begin(), len(steps)):
        which, data = copy.take(stream, entry, at)
        files[which] += data
    assert files[0] == b"old" + b"".join(data for stream, _, data in engine.entries if stream == 1)
    assert files[1] == b"er" + b"".join(data for stream, _, data in engine.entries if stream == 2)


def test_reading_begins_late_in_a_long_output() -> None:
    copy = LogCopy(LogPlace(), (0, 0))
    for second in range(100):
        copy.take(1, f"{stamp(second)} x".encode(), float(second))
    place = copy.place()
    assert unix_time(place.since) == f"{place.before[0]}.000000000"
    assert 80 < place.before[0] < 96
    assert LogCopy(place, (100, 0)).begin() == unix_time(place.since)


def test_a_clock_that_was_set_back_costs_a_second_reading_and_no_line() -> None:
    copy, files = LogCopy(LogPlace(), (0, 0)), bytearray()
    times = [*range(100, 160), *range(120, 140)]
    entries = [(1, f"{stamp(at)} {i}\n".encode()) for i, at in enumerate(times)]
    for (stream, entry), now in zip(entries, range(80), strict=True):
        files += copy.take(stream, entry, float(now))[1]
    assert copy.place().since == ""
    again = LogCopy(copy.place(), (len(files), 0))
    assert again.begin() == "0"
    for stream, entry in entries:
        files += again.take(stream, entry, 80.0)[1]
    assert files == b"".join(b"%d\n" % i for i in range(80))


def test_rotated_output_counts_as_copied(tmp_path: Path) -> None:
    append(tmp_path, 0, b"x" * 200_000)
    assert rotate(tmp_path, "stdout", 65536, 2) > 65536
    assert sizes(tmp_path) == (200_000, 0)


def test_times() -> None:
    assert unix_time("2006-01-02T15:04:05.000000001Z") == "1136214245.000000001"
    assert unix_time("1970-01-01T00:00:01Z") == "1.0"
    with pytest.raises(ValueError, match="invalid literal"):
        unix_time("yesterday")


# images


@pytest.mark.parametrize(
    ("image", "whole"),
    [
        ("alpine", "alpine:latest"),
        ("alpine:3", "alpine:3"),
        ("host:5000/a/b", "host:5000/a/b:latest"),
        ("host:5000/a/b:1", "host:5000/a/b:1"),
        ("a@sha256:00", "a@sha256:00"),
    ],
)
def test_tags(image: str, whole: str) -> None:
    assert with_tag(image) == whole


def test_progress_of_a_pull() -> None:
    steps: list[dict[str, Any]] = [
        {"status": "Pulling from library/x", "id": "1"},
        {"status": "Downloading", "id": "aa", "progressDetail": {"current": 1}},
        {"status": "Downloading", "id": "aa", "progressDetail": {"current": 2}},
        {"status": "Pull complete", "id": "aa"},
        {"status": "Digest: sha256:00"},
    ]
    content = b"\r\n".join(json.dumps(step).encode() for step in steps) + b"\r\n"
    progress = PullProgress()
    lines = [line for i in range(0, len(content), 7) for line in progress.feed(content[i : i + 7])]
    assert lines == ["1: Pulling from library/x", "aa: Downloading", "aa: Pull complete", "Digest: sha256:00"]
    with pytest.raises(PullError, match="no such host"):
        progress.feed(b'{"errorDetail":{"message":"x"},"error":"no such host"}\n')


def test_credentials() -> None:
    auth = base64.b64encode(b"me:secret").decode()
    new = json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": auth}, "host:5000": {"username": "u"}}})
    old = json.dumps({"https://host:5000/v1": {"auth": auth}})

    def of(image: str, configuration: str) -> Any:
        header = credentials(image, configuration.encode())
        return header and json.loads(base64.urlsafe_b64decode(header))

    docker_hub = {"username": "me", "password": "secret", "serveraddress": "https://index.docker.io/v1/"}
    assert of("alpine", new) == docker_hub
    assert of("me/image", new) == docker_hub
    assert of("host:5000/x", new)["username"] == "u"
    assert of("host:5000/x", old) == {"username": "me", "password": "secret", "serveraddress": "host:5000"}
    assert of("other.org/x", new) is None
    for bad in ('{"auths": {"host:5000": {"auth": "secret!"}}}', "secret", "[]"):
        with pytest.raises(ValueError, match="no credentials") as refusal:
            of("host:5000/x", bad)
        assert "secret" not in str(refusal.value)


# ends


@pytest.mark.parametrize(
    ("code", "oom", "end", "limited"),
    [
        (0, False, Ended(0), False),
        (0, True, Ended(0), False),
        (3, False, Ended(3), False),
        (137, True, Ended(137, 9), True),
    ],
)
def test_ends(code: int, oom: bool, end: Ended, limited: bool) -> None:
    run = {
        "Id": "x",
        "State": {"Status": "exited", "Pid": 0, "ExitCode": code, "OOMKilled": oom, "Error": ""},
        "Config": {"Labels": None, "StopSignal": "SIGINT"},
        "HostConfig": {"NetworkMode": "default", "Memory": 64 << 20},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": ""}}},
    }
    container = msgspec.convert(run, EngineContainer)
    found = end_of(container)
    assert found.end == end
    assert (container.ip, container.config.stop_signal) == ("", "SIGINT")
    if limited:
        assert found.limitation is not None
        assert found.limitation.reason == "REASON_CONTAINER_LIMITATION_MEMORY"
        assert "Requested: 64MB" in found.limitation.message
    else:
        assert found.limitation is None
