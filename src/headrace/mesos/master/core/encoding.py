"""Offers as JSON, cheaply: what is the same for all offers of an agent is encoded once and spliced.

Frameworks without MULTI_ROLE get no ``allocation_info``, those without RESERVATION_REFINEMENT a
``role`` on each resource, as from Mesos.
"""

from __future__ import annotations

import msgspec

from headrace.mesos.master.core.model import Agent, Framework, Offer
from headrace.mesos.messages.common import URL, Address, AgentInfo, AllocationInfo, Identifier, Message
from headrace.mesos.resources import Resources, old_form

_MAX_KEPT = 4096

_encode = msgspec.json.Encoder().encode


class OfferEncoder:
    """Encodes offers. Keeps the encoded forms of resources, which many agents have in common."""

    def __init__(self) -> None:
        self._resources: dict[tuple[Resources, str | None, bool], bytes] = {}
        self._endings: dict[str | None, bytes] = {}
        self._last: tuple[Resources | None, tuple[str | None, bool, str] | None] = (None, None)
        self._owner = self._what = self._end = b""  # of the last: the next is often like it

    def encode(self, offer: Offer, framework: Framework, agent: Agent) -> msgspec.Raw:
        """The offer as the framework is to read it."""
        role = offer.role if "MULTI_ROLE" in framework.capabilities else None
        refined = "RESERVATION_REFINEMENT" in framework.capabilities
        middle, tail = _static(agent)
        if agent.executors:
            tail += _executors(agent, framework)
        if agent.unavailability is not None:
            tail += b',"unavailability":' + _encode(agent.unavailability)
        if offer.resources is not self._last[0] or (role, refined, framework.id) != self._last[1]:
            self._last = (offer.resources, (role, refined, framework.id))
            self._owner = b'"},"framework_id":{"value":%b},' % _encode(offer.framework_id)
            self._what = b'"resources":' + self._encoded_resources(offer.resources, role, refined)
            self._end = self._ending(role) + b"}"
        parts = (b'{"id":{"value":"', offer.id.encode(), self._owner, middle, self._what, tail, self._end)
        return msgspec.Raw(b"".join(parts))

    def _encoded_resources(self, resources: Resources, role: str | None, refined: bool) -> bytes:
        key = (resources, role, refined)
        encoded = self._resources.get(key)
        if encoded is None:
            if len(self._resources) >= _MAX_KEPT:
                self._resources.clear()
            messages = resources.messages(role)
            encoded = self._resources[key] = _encode(messages if refined else [old_form(m) for m in messages])
        return encoded

    def _ending(self, role: str | None) -> bytes:
        if role is None:
            return b""
        ending = self._endings.get(role)
        if ending is None:
            ending = self._endings[role] = b',"allocation_info":' + _encode(AllocationInfo(role))
        return ending


def _executors(agent: Agent, framework: Framework) -> bytes:
    """The framework's executors that live on the agent."""
    ids = [Identifier(executor_id) for owner, executor_id in agent.executors if owner == framework.id]
    return b',"executor_ids":' + _encode(ids) if ids else b""


def _static(agent: Agent) -> tuple[bytes, bytes]:
    """What comes before and after the resources, as far as it stays."""
    middle = agent.encoded.get("offer")
    if middle is None:
        info = agent.info
        head: dict[str, Message | str] = {
            "agent_id": Identifier(agent.id),
            "hostname": info.hostname,
            "url": url(info, agent.ip),
        }
        if info.domain is not None:
            head["domain"] = info.domain
        middle = agent.encoded["offer"] = _encode(head)[1:-1] + b","
        agent.encoded["offer end"] = b',"attributes":' + _encode(info.attributes) if info.attributes else b""
    return middle, agent.encoded["offer end"]


def url(info: AgentInfo, ip: str) -> URL:
    """Where the agent answers."""
    return URL("http", Address(info.hostname, ip, info.port), "/slave(1)")
