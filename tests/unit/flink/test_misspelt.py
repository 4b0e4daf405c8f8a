"""Options that look misspelt are told."""

import pytest

from headrace.flink.cluster import DEFAULTS
from headrace.flink.misspelt import NAMES, misspelt
from headrace.flink.removed_options import REMOVED, without_effect


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("taskmanager.numberOfTaskSlot", "taskmanager.numberOfTaskSlots"),
        ("taskmanager.numberoftaskslots", "taskmanager.numberOfTaskSlots"),
        ("taskmanager.memory.managed.sise", "taskmanager.memory.managed.size"),
        ("paralelism.default", "parallelism.default"),
        ("state.checkpoint.dir", "state.checkpoints.dir"),
    ],
)
def test_what_is_nearly_an_option_is_told_with_it(key: str, meant: str) -> None:
    for version in ("1.20.5", "2.3.0"):
        (said,) = without_effect({key: "2"}, version)
        assert f"option {key} " in said
        assert f"{meant} may be meant" in said


def test_other_options_are_flinks_own_business() -> None:
    others = {
        "metrics.reporter.prom.port": "9249",
        "jobmanager.archive.fs.dir": "/a",
        "taskmanager.network.netty.server.port": "1",
        "security.ssl.internal.keystore-type": "PKCS12",
        "security.ssl.internal.cert.fingerprint": "0",
        "rest.retry.max-attempts": "3",
        "env.java.opts.client": "-Da=b",
        "execution.checkpointing.unaligned": "true",
        "containerized.taskmanager.env.A": "1",
        "table.exec.state.ttl": "1 h",
    }
    assert misspelt(dict.fromkeys((*NAMES, *DEFAULTS, *REMOVED), "") | others) == []
