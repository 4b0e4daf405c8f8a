"""The daemons on which a transcript is replayed: a master and an agent for each rack."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.cluster.harness import Daemon, get, wait_for

RESOURCES = "cpus:8;mem:8192;disk:20480;ports:[31000-32000]"
QUICK = ("--allocation-interval", "20ms")
"""For transcripts of one framework, which gets at once again what it left of an offer."""
LOSING = ("--agent-reregister-timeout", "1s")
"""For transcripts in which agents are lost: those whose connection broke, not those that are slow to answer."""


class Stage:
    """A running master and its agents by rack, which can be killed and started again."""

    def __init__(
        self, directory: Path, racks: Iterable[str], master_flags: Iterable[str] = (), agent_flags: Iterable[str] = ()
    ) -> None:
        self.directory = directory
        master = ["--port", "0", "--data", str(directory / "master"), *master_flags]
        self.master = Daemon("master", "headrace.mesos.master", master, directory)
        self.agents: dict[str, Daemon] = dict.fromkeys(racks, self.master)
        self._agent_flags = [*agent_flags]
        self._gone: set[str] = set()

    def start(self) -> None:
        """Start everything and wait until all agents are registered."""
        self.master.start()
        for rack in self.agents:
            data = self.directory / f"agent-{rack}"
            flags = ["--resources", RESOURCES, "--attributes", f"rack:{rack};zone:z", "--hostname", "127.0.0.1"]
            arguments = ["--port", "0", "--data", str(data), "--master", self.master.url, *flags, *self._agent_flags]
            self.agents[rack] = Daemon(f"agent-{rack}", "headrace.mesos.agent", arguments, self.directory).start()
        self.wait_for_agents()

    def wait_for_agents(self) -> None:
        """Until all agents are registered."""
        wait_for(lambda: len(self.agent_ids()) == len(self.agents), "all agents register")

    def stop(self) -> None:
        """End all daemons and tasks; an agent that was killed is started for that, as only it knows its tasks."""
        with ExitStack() as ends:  # also when one of them does not end as it should
            if self.master.url:
                ends.callback(self.master.stop)
            for rack, agent in self.agents.items():
                if agent is not self.master and agent.url:
                    ends.callback(self._stop_agent, rack, agent)

    def _stop_agent(self, rack: str, agent: Daemon) -> None:
        if rack in self._gone:
            agent.start()
        agent.stop(signal.SIGUSR1)

    def agent_ids(self) -> dict[str, str]:
        """The ids of registered agents by rack."""
        agents = get(self.master.url + "/slaves")["slaves"]
        return {agent["attributes"]["rack"]: agent["id"] for agent in agents if agent["active"]}

    async def kill_agent(self, rack: str) -> None:
        """SIGKILL; its tasks go on."""
        self._gone.add(rack)
        await asyncio.to_thread(self.agents[rack].kill)

    async def start_agent(self, rack: str) -> None:
        """Start it again, on the data that it left."""
        self._gone.discard(rack)
        await asyncio.to_thread(self.agents[rack].start)

    def shut_agent_down(self, rack: str) -> None:
        """SIGUSR1: it takes its tasks along."""
        self.agents[rack].send(signal.SIGUSR1)

    async def restart_master(self) -> None:
        """SIGKILL the master and start it again; agents see nothing of it before ``release_agents``."""
        for agent in self.agents.values():
            agent.send(signal.SIGSTOP)
        await asyncio.to_thread(self.master.kill)
        await asyncio.to_thread(self.master.start)

    def release_agents(self) -> None:
        for agent in self.agents.values():
            agent.send(signal.SIGCONT)


@contextmanager
def stage(directory: Path, racks: Iterable[str], *master_flags: str, agent: Iterable[str] = ()) -> Iterator[Stage]:
    """A stage that is up, and down at the end. ``agent``: further flags of the agents."""
    it = Stage(directory, racks, master_flags, agent)
    try:
        it.start()
        yield it
    finally:
        it.stop()
