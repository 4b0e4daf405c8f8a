"""Offers as JSON, cheaply: what is the same for all offers of an agent is encoded once and spliced.

Frameworks without MULTI_ROLE get no ``allocation_info``, those without RESERVATION_REFINEMENT a
``role`` on each resource, as from Mesos.
"""

from __future__ import annotations

import msgspec

from headrace.mesos.master.model import Agent, Framework, Offer
from headrace.mesos.messages.common import URL, Address, AgentInfo, AllocationInfo, Identifier, Resource
from headrace.mesos.resources import Resources

_MAX_KEPT = 4096

_encode = msgspec.json.Encoder().encode


class OfferEncoder:
    """Encodes offers. Keeps the encoded forms of resources, which many agents have in common."""

    def __init__(self) -> None:
        self._resources: dict[tuple[Resources, str | None, bool], bytes] = {}
        self._endings: dict[str | None, bytes] = {}

    def encode(self, offer: Offer, framework: Framework, agent: Agent) -> msgspec.Raw:
        """The offer as the framework is to read it."""
        role = offer.role if "MULTI_ROLE" in framework.capabilities else None
        refined = "RESERVATION_REFINEMENT" in framework.capabilities
        middle, tail = _static(agent)
        return msgspec.Raw(
            b'{"id":{"value":"%b"},"framework_id":{"value":%b},%b"resources":%b%b%b}'
            % (
                offer.id.encode(),
                _encode(offer.framework_id),
                middle,
                self._encoded_resources(offer.resources, role, refined),
                tail,
                self._ending(role),
            )
        )

    def _encoded_resources(self, resources: Resources, role: str | None, refined: bool) -> bytes:
        key = (resources, role, refined)
        encoded = self._resources.get(key)
        if encoded is None:
            if len(self._resources) >= _MAX_KEPT:
                self._resources.clear()
            messages = resources.messages(role)
            encoded = self._resources[key] = _encode(messages if refined else [_old_format(m) for m in messages])
        return encoded

    def _ending(self, role: str | None) -> bytes:
        if role is None:
            return b""
        ending = self._endings.get(role)
        if ending is None:
            ending = self._endings[role] = b',"allocation_info":' + _encode(AllocationInfo(role))
        return ending


def _old_format(resource: Resource) -> Resource:
    return msgspec.structs.replace(resource, role="*")


def _static(agent: Agent) -> tuple[bytes, bytes]:
    """What comes before and after the resources."""
    middle = agent.encoded.get("offer")
    if middle is None:
        head = {"agent_id": Identifier(agent.id), "hostname": agent.info.hostname, "url": url(agent.info, agent.ip)}
        middle = agent.encoded["offer"] = _encode(head)[1:-1] + b","
        agent.encoded["offer end"] = _ending_of(agent.info)
    return middle, agent.encoded["offer end"]


def _ending_of(info: AgentInfo) -> bytes:
    ending = b""
    if info.attributes:
        ending += b',"attributes":' + _encode(info.attributes)
    if info.domain is not None:
        ending += b',"domain":' + _encode(info.domain)
    return ending


def url(info: AgentInfo, ip: str) -> URL:
    """Where the agent answers."""
    return URL("http", Address(info.hostname, ip, info.port), "/slave(1)")
