"""Operators interfere at any time: the books stay sound, and when they leave it alone, everything comes back."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.unit.mesos.master.test_master_machine import MasterMachine, pick
from tests.unit.mesos.walks import walk

MACHINE = {"hostname": "h1", "ip": "10.0.0.1"}
WHEN = {"start": {"nanoseconds": 1}}


class OperatedMachine(MasterMachine):
    """The master's machine, with maintenance, agents that are marked gone, reservations and weights."""

    def order(self, kind: str, **body: Any) -> int:
        status = self.world.order(kind, **{kind.lower(): body}).status
        for agent in self.agents:
            self.obey(agent)
        return status

    @rule(planned=st.booleans())
    def maintenance_is_planned(self, planned: bool) -> None:
        windows = [{"machine_ids": [MACHINE], "unavailability": WHEN}] if planned else []
        self.order("UPDATE_MAINTENANCE_SCHEDULE", schedule={"windows": windows})

    @rule()
    def machine_goes_down(self) -> None:
        if self.order("START_MAINTENANCE", machines=[MACHINE]) == 200:
            assert not self.world.books.agents

    @rule()
    def machine_comes_up(self) -> None:
        self.order("STOP_MAINTENANCE", machines=[MACHINE])

    @precondition(lambda self: any(f.inverse_offers for f in self.connected()))
    @rule(call=st.sampled_from(["ACCEPT_INVERSE_OFFERS", "DECLINE_INVERSE_OFFERS"]))
    def inverse_offers_are_answered(self, call: str) -> None:
        framework = next(f for f in self.connected() if f.inverse_offers)
        ids = [{"value": offer_id} for offer_id in framework.inverse_offers]
        framework.inverse_offers.clear()
        framework.call(call, **{call.lower(): {"inverse_offer_ids": ids}})

    @precondition(lambda self: any(agent.id for agent in self.agents))
    @rule(n=pick)
    def agent_is_marked_gone(self, n: int) -> None:
        known = [agent for agent in self.agents if agent.id]
        agent = known[n % len(known)]
        if self.order("MARK_AGENT_GONE", agent_id={"value": agent.id}) == 200:
            assert agent.id not in self.world.books.agents

    @precondition(lambda self: any(agent.stream for agent in self.agents))
    @rule(n=pick, kind=st.sampled_from(["RESERVE_RESOURCES", "UNRESERVE_RESOURCES"]), role=st.sampled_from("ab"))
    def operator_converts(self, n: int, kind: str, role: str) -> None:
        connected = [agent for agent in self.agents if agent.stream]
        cpus = {"name": "cpus", "scalar": {"value": 0.5}, "reservations": [{"type": "DYNAMIC", "role": role}]}
        agent_id = connected[n % len(connected)].id
        assert self.order(kind, agent_id={"value": agent_id}, resources=[cpus]) in (202, 400, 409)

    @rule(role=st.sampled_from("ab"), weight=st.sampled_from([0.5, 3.0]))
    def weights_are_set(self, role: str, weight: float) -> None:
        self.order("UPDATE_WEIGHTS", weight_infos=[{"role": role, "weight": weight}])

    def teardown(self) -> None:
        self.order("STOP_MAINTENANCE", machines=[MACHINE])
        self.order("UPDATE_MAINTENANCE_SCHEDULE", schedule={"windows": []})
        assert not self.world.books.machines
        super().teardown()
        assert "maintenance" not in self.world.timers


def test_operated_master() -> None:
    walk(OperatedMachine, 400, 30)
