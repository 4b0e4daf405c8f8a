"""Orders of operators, whichever API they came by: what each does, and the answer.

An order is answered when what it changes is in the store. Answers and texts are Mesos's.
"""

from __future__ import annotations

from headrace.mesos import operations
from headrace.mesos.master.core import validation
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.draining import Draining
from headrace.mesos.master.core.effects import ACCEPTED, OK, Answer
from headrace.mesos.master.core.frameworks import Frameworks
from headrace.mesos.master.core.losses import Losses
from headrace.mesos.master.core.maintenance import Maintenance
from headrace.mesos.master.core.model import Agent
from headrace.mesos.master.core.offers import Offers
from headrace.mesos.master.core.operations import Operations, converted
from headrace.mesos.master.core.quota import Quotas
from headrace.mesos.master.core.validation import resources
from headrace.mesos.master.core.validation.operations import named
from headrace.mesos.master.core.weights import Weights
from headrace.mesos.messages.operator import Call
from headrace.mesos.messages.scheduler import GrowVolume, Operation, Reserve, ShrinkVolume, Unreserve, Volumes
from headrace.mesos.resources import Resources, describe


class Operators:
    """Obeys operators."""

    def __init__(
        self,
        books: Books,
        frameworks: Frameworks,
        offers: Offers,
        operations: Operations,
        losses: Losses,
        maintenance: Maintenance,
        draining: Draining,
        quotas: Quotas,
        weights: Weights,
    ) -> None:
        self._books = books
        self._frameworks = frameworks
        self._offers = offers
        self._operations = operations
        self._losses = losses
        self._maintenance = maintenance
        self._draining = draining
        self._quotas = quotas
        self._weights = weights

    def obey(self, call: Call, now: float) -> Answer:
        """Carry out an order; its body is there. Refused ones change nothing."""
        match call:
            case Call(type="UPDATE_WEIGHTS", update_weights=body) if body is not None:
                return self._weights.update(body, now)
            case Call(type="UPDATE_QUOTA", update_quota=body) if body is not None:
                return self._quotas.update(body, now)
            case Call(type="SET_QUOTA", set_quota=body) if body is not None:
                return self._quotas.set(body.quota_request, now)
            case Call(type="REMOVE_QUOTA", remove_quota=body) if body is not None:
                return self._quotas.remove(body.role, now)
            case Call(type="UPDATE_MAINTENANCE_SCHEDULE", update_maintenance_schedule=body) if body is not None:
                return self._maintenance.update_schedule(body.schedule, now)
            case Call(type="START_MAINTENANCE", start_maintenance=body) if body is not None:
                return self._maintenance.start(body.machines or (), now)
            case Call(type="STOP_MAINTENANCE", stop_maintenance=body) if body is not None:
                return self._maintenance.stop(body.machines or (), now)
            case Call(type="MARK_AGENT_GONE", mark_agent_gone=body) if body is not None:
                return self._losses.mark_gone(body.agent_id.value, now)
            case Call(type="TEARDOWN", teardown=body) if body is not None:
                return self.tear_down(body.framework_id.value, now)
        return self._empty(call, now)

    def _empty(self, call: Call, now: float) -> Answer:
        """Orders that keep an agent out of the offers."""
        match call:
            case Call(type="DRAIN_AGENT", drain_agent=body) if body is not None:
                return self._draining.drain(body, now)
            case Call(type="DEACTIVATE_AGENT", deactivate_agent=body) if body is not None:
                return self._draining.deactivate(body.agent_id.value, now)
            case Call(type="REACTIVATE_AGENT", reactivate_agent=body) if body is not None:
                return self._draining.reactivate(body.agent_id.value, now)
        return self._operate(call, now)

    def tear_down(self, framework_id: str, now: float) -> Answer:
        """End a framework."""
        framework = self._books.frameworks.get(framework_id)
        if framework is None:
            return Answer(400, "No framework found with specified ID")
        self._frameworks.remove(framework, now, "torn down by an operator")
        return OK

    def _operate(self, call: Call, now: float) -> Answer:
        """Orders that convert an agent's resources."""
        match call:
            case Call(type="RESERVE_RESOURCES", reserve_resources=body) if body is not None:
                given = Operation("RESERVE", reserve=Reserve(body.resources, body.source))
                return self._convert(body.agent_id.value, given, now)
            case Call(type="UNRESERVE_RESOURCES", unreserve_resources=body) if body is not None:
                given = Operation("UNRESERVE", unreserve=Unreserve(body.resources))
                return self._convert(body.agent_id.value, given, now)
            case Call(type="CREATE_VOLUMES", create_volumes=body) if body is not None:
                given = Operation("CREATE", create=Volumes(body.volumes))
                return self._convert(body.agent_id.value, given, now)
            case Call(type="DESTROY_VOLUMES", destroy_volumes=body) if body is not None:
                given = Operation("DESTROY", destroy=Volumes(body.volumes))
                return self._convert(body.agent_id.value, given, now)
            case Call(type="GROW_VOLUME", grow_volume=body) if body is not None:
                given = Operation("GROW_VOLUME", grow_volume=GrowVolume(body.volume, body.addition))
                return self._convert(body.agent_id.value if body.agent_id else "", given, now)
            case Call(type="SHRINK_VOLUME", shrink_volume=body) if body is not None:
                given = Operation("SHRINK_VOLUME", shrink_volume=ShrinkVolume(body.volume, body.subtract))
                return self._convert(body.agent_id.value if body.agent_id else "", given, now)
        return Answer(501, "501 Not Implemented.")

    def _convert(self, agent_id: str, operation: Operation, now: float) -> Answer:
        """Carry out an operation on what nobody holds of an agent; offers that stand in the way are taken back."""
        agent = self._books.agents.get(agent_id)
        if agent is None:
            return Answer(400, "No agent found with specified ID")
        if wrong := resources.form(named(operation)):
            return Answer(400, f"Failed to validate master::Call: {wrong}")
        if wrong := validation.operation(operation, agent, owner=None, role=None, principal=None):
            return Answer(400, f"Invalid {operation.type} operation on agent {_described(agent)}: {wrong}")
        try:
            needed, _ = converted(operation)
        except operations.OperationError as error:
            return Answer(400, f"Invalid {operation.type} operation on agent {_described(agent)}: {error}")
        if not self._make_free(agent, needed, now):
            return Answer(409, f"{_as_agents_say(_unused(agent))} does not contain {_as_agents_say(needed)}")
        self._operations.carry_out_for_operator(agent, operation)
        return ACCEPTED

    def _make_free(self, agent: Agent, needed: Resources, now: float) -> bool:
        """Take back offers until nobody holds ``needed``; false, and nothing is done, if tasks hold it."""
        free = _unused(agent)
        if not free.contains(needed):
            return False
        for offer in agent.offers.values():
            free = free - offer.resources
        for offer in list(agent.offers.values()):
            if free.contains(needed):
                break
            if needed - offer.resources != needed:
                free = free + offer.resources
                self._offers.rescind([offer], f"an operator converts resources of agent {agent.id}", now)
        return True


def _unused(agent: Agent) -> Resources:
    """What no task and no executor holds."""
    left = agent.total
    for held in agent.used().values():
        left = left - held
    return left


def _described(agent: Agent) -> str:
    return f"{agent.id} at slave(1)@{agent.ip}:{agent.info.port or 0} ({agent.info.hostname})"


def _as_agents_say(amount: Resources) -> str:
    """In the order in which agents name their resources: ports last."""
    plain = amount.plain.messages()
    rest = amount.messages()[len(plain) :]
    first = [resource for resource in plain if resource.name != "ports"]
    return describe([*first, *(resource for resource in plain if resource.name == "ports"), *rest])
