"""The parts of offers as JSON: what is the same for all offers of an agent, or for many offers, is encoded once.

Frameworks without MULTI_ROLE get no ``allocation_info``, those without RESERVATION_REFINEMENT a
``role`` on each resource, as from Mesos.
"""

from __future__ import annotations

import msgspec

from headrace.mesos.master.core.model import Agent, Framework, Offer
from headrace.mesos.master.core.offers_event import SplicedOffer
from headrace.mesos.messages.common import URL, Address, AgentInfo, AllocationInfo, Attribute, Identifier, Message
from headrace.mesos.resources import Resources, old_form

_MAX_KEPT = 4096

_encode = msgspec.json.Encoder().encode


class OfferEncoder:
    """Encodes offers. Keeps the encoded forms of resources, which many agents have in common."""

    def __init__(self) -> None:
        self._resources: dict[tuple[Resources, str | None, bool], bytes] = {}
        self._endings: dict[str | None, bytes] = {}
        self._last: tuple[Resources | None, tuple[str | None, bool, str] | None] = (None, None)
        self._shared = b""  # of the last: the next is often like it

    def encode(self, offer: Offer, framework: Framework, agent: Agent) -> SplicedOffer:
        """The offer as the framework is to read it."""
        role = offer.role if "MULTI_ROLE" in framework.capabilities else None
        refined = "RESERVATION_REFINEMENT" in framework.capabilities
        own = b'"id":{"value":"%b"},%b' % (offer.id.encode(), _static(agent))
        if agent.executors:
            own += _executors(agent, framework)
        if agent.unavailability is not None:
            own += b',"unavailability":' + _encode(agent.unavailability)
        if offer.resources is not self._last[0] or (role, refined, framework.id) != self._last[1]:
            self._last = (offer.resources, (role, refined, framework.id))
            self._shared = b'"framework_id":{"value":%b},"resources":%b%b' % (
                _encode(offer.framework_id),
                self._encoded_resources(offer.resources, role, refined),
                self._ending(role),
            )
        return SplicedOffer(own, self._shared)

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


def _static(agent: Agent) -> bytes:
    """What stays the same of the agent."""
    known = agent.encoded
    if known is None:
        info = agent.info
        said: dict[str, Message | list[Attribute] | str] = {
            "agent_id": Identifier(agent.id),
            "hostname": info.hostname,
            "url": url(info, agent.ip),
        }
        if info.domain is not None:
            said["domain"] = info.domain
        if info.attributes:
            said["attributes"] = info.attributes
        known = agent.encoded = _encode(said)[1:-1]
    return known


def url(info: AgentInfo, ip: str) -> URL:
    """Where the agent answers."""
    return URL("http", Address(info.hostname, ip, info.port), "/slave(1)")
