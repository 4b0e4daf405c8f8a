"""Creates, updates and removes pods, and ends single instances of them."""

from __future__ import annotations

from typing import Any

from headrace.marathon.core.books import Books
from headrace.marathon.core.changes.context import context, default_role
from headrace.marathon.core.changes.deploying import Deployer, Wanted
from headrace.marathon.core.events import Answer, CreatePod, DeletePod, KillInstances, Origin, UpdatePod
from headrace.marathon.core.kills import Killer
from headrace.marathon.core.records import Cause
from headrace.marathon.core.shapes import instance_view
from headrace.marathon.definitions import reading, writing
from headrace.marathon.definitions.errors import Rejected, unknown_pod
from headrace.marathon.definitions.paths import canonical
from headrace.marathon.definitions.pod import Pod
from headrace.marathon.definitions.rules import check_pod


class PodChanges:
    """Requests to /v2/pods."""

    def __init__(self, books: Books, deployer: Deployer, killer: Killer) -> None:
        self._books = books
        self._deployer = deployer
        self._killer = killer

    def create(self, event: CreatePod, now: float) -> Answer:
        """POST /v2/pods."""
        pod = self._read(event.body)
        if pod.id in self._books.pods:
            raise Rejected(409, f"A pod with id [{pod.id}] already exists.")
        plan = self._deployer.deploy(Wanted({pod.id: pod}, deadline=event.deadline), event.force, now)
        self._announce("pod_created_event", event.origin)
        headers = {"Location": pod.id, "Marathon-Deployment-Id": plan.id}
        return Answer(201, writing.whole_pod(self._books.pods[pod.id]), headers)

    def update(self, event: UpdatePod, now: float) -> Answer:
        """PUT: always the whole definition."""
        pod = self._read(event.body)
        if pod.id != event.pod_id:
            raise Rejected(400, f"'{event.pod_id}' does not match definition's id ('{pod.id}')")
        plan = self._deployer.deploy(Wanted({pod.id: pod}, deadline=event.deadline), event.force, now)
        self._announce("pod_updated_event", event.origin)
        headers = {"Location": pod.id, "Marathon-Deployment-Id": plan.id}
        return Answer(200, writing.whole_pod(self._books.pods[pod.id]), headers)

    def delete(self, event: DeletePod, now: float) -> Answer:
        """DELETE: 202 and no body, the deployment's id in the headers."""
        if event.pod_id not in self._books.pods:
            raise unknown_pod(event.pod_id)
        plan = self._deployer.deploy(Wanted({event.pod_id: None}, deadline=event.deadline), event.force, now)
        self._announce("pod_deleted_event", event.origin)
        return Answer(202, None, {"Location": plan.id, "Marathon-Deployment-Id": plan.id})

    def kill(self, event: KillInstances, now: float) -> Answer:
        """DELETE of instances, which are replaced; with ``wipe`` they and their volumes are forgotten."""
        if event.pod_id not in self._books.pods:
            raise unknown_pod(event.pod_id)
        known = {one.id: one for one in self._books.of_app(event.pod_id)}
        missing = [one for one in event.instance_ids if one not in known]
        if missing and event.single:
            raise Rejected(404, f"instance '{missing[0]}' of pod '{event.pod_id}' does not exist")
        chosen = [known[one] for one in event.instance_ids if one in known]
        shown = [instance_view(one) for one in chosen]
        for instance in chosen:
            if event.wipe:
                self._killer.decommission(instance, now, "killed and wiped through the API", Cause.API)
            else:
                self._killer.kill(instance, now, "killed through the API", Cause.API)
        return Answer(200, shown[0] if event.single else shown)

    def _read(self, body: Any) -> Pod:
        books, settings = self._books, self._books.settings
        given = body.get("id") if isinstance(body, dict) else None
        pod_id = canonical(given) if isinstance(given, str) else "/"
        role = default_role(books, pod_id, {})
        pod = reading.read_pod(body, default_role=role, default_network=settings.default_network_name)
        check_pod(pod, context(books, pod.id, books.pods.get(pod.id), {}))
        return pod

    def _announce(self, kind: str, origin: Origin) -> None:
        self._books.publish(kind, clientIp=origin.client, uri=origin.uri)
