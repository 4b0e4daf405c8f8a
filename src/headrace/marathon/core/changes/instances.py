"""Ends tasks, cancels deployments, lets delays pass."""

from __future__ import annotations

from collections import Counter

import msgspec

from headrace.marathon.core.books import Books
from headrace.marathon.core.changes.apps import NOT_SCALED
from headrace.marathon.core.changes.deploying import Deployer, Targets, Wanted, deployment_answer
from headrace.marathon.core.deployments import Deployments
from headrace.marathon.core.events import Answer, CancelDeployment, KillTasks, ResetDelay
from headrace.marathon.core.kills import Killer
from headrace.marathon.core.queue import LaunchQueue
from headrace.marathon.core.records import Cause, Instance, instance_of_task
from headrace.marathon.core.shapes import task_view
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected, Violation, invalid, unknown_app


class InstanceChanges:
    """Requests to tasks, to /v2/deployments and to /v2/queue."""

    def __init__(
        self, books: Books, queue: LaunchQueue, deployments: Deployments, killer: Killer, deployer: Deployer
    ) -> None:
        self._books = books
        self._queue = queue
        self._deployments = deployments
        self._killer = killer
        self._deployer = deployer

    def kill(self, event: KillTasks, now: float) -> Answer:
        """DELETE of tasks. With ``scale`` a deployment that also wants fewer; else they are replaced."""
        if event.scale and event.wipe:
            raise Rejected(400, "You cannot use scale and wipe at the same time.")
        chosen = self._chosen(event)
        shown = [task_view(one, self._books.definition(one)) for one in chosen]
        if event.scale:
            return self._kill_and_scale(chosen, event, now)
        for instance in chosen:
            if event.wipe:
                self._killer.decommission(instance, now, "killed and wiped through the API", Cause.API)
            else:
                self._killer.kill(instance, now, "killed through the API", Cause.API)
        return Answer(200, {"task": shown[0]} if event.single else {"tasks": shown})

    def cancel(self, event: CancelDeployment, now: float) -> Answer:
        """With ``force`` just stop; else deploy the way back."""
        deployment = self._deployments.running.get(event.deployment_id)
        if deployment is None:
            raise Rejected(404, f"DeploymentPlan {event.deployment_id} does not exist")
        if event.force:
            self._deployments.cancel(event.deployment_id, now, "cancelled through the API")
            return Answer(202, None)
        return deployment_answer(self._deployer.revert(deployment, "asked for through the API", now))

    def reset_delay(self, event: ResetDelay, now: float) -> Answer:
        """Launch at once, whatever failed before."""
        if event.app_id not in self._queue.waiting and event.app_id not in self._books.delays:
            raise Rejected(404, f"Application {event.app_id} not found in tasks queue.")
        self._queue.reset_delay(event.app_id, now)
        return Answer(204, None)

    def _chosen(self, event: KillTasks) -> list[Instance]:
        if event.app_id is not None:
            self._existing(event.app_id)
        if event.task_ids is None:
            return [
                one
                for one in self._books.of_app(event.app_id or "")
                if _killable(one, event.wipe) and event.host in (None, "*", one.host)
            ]
        chosen = []
        for task_id in event.task_ids:
            instance = self._books.instances.get(instance_of_task(task_id))
            found = instance is not None and (event.app_id is None or instance.app_id == event.app_id)
            if instance is not None and found and instance.task_id == task_id and _killable(instance, event.wipe):
                chosen.append(instance)
            elif event.single:
                raise Rejected(404, f"Task '{task_id}' does not exist")
            elif ".instance-" not in task_id and "." not in task_id:
                raise Rejected(400, f"Invalid task id '{task_id}'. [A task id looks like <app>.instance-<uuid>._app.1]")
        return chosen

    def _kill_and_scale(self, chosen: list[Instance], event: KillTasks, now: float) -> Answer:
        fewer = Counter(one.app_id for one in chosen if one.wanted)
        apps = {app_id: self._existing(app_id) for app_id in fewer}
        if not apps and event.app_id is not None:
            apps[event.app_id] = self._existing(event.app_id)
        if any(app.per_agent for app in apps.values()):
            raise invalid([Violation("/instances", NOT_SCALED)])
        targets: Targets = {
            app_id: msgspec.structs.replace(app, instances=max(0, app.instances - fewer[app_id]))
            for app_id, app in apps.items()
        }
        wanted = Wanted(targets, kill=[one.id for one in chosen], deadline=event.deadline)
        return deployment_answer(self._deployer.deploy(wanted, event.force, now))

    def _existing(self, app_id: str) -> App:
        app = self._books.apps.get(app_id)
        if app is None:
            raise unknown_app(app_id)
        return app


def _killable(instance: Instance, wipe: bool) -> bool:
    """Whether there is a task to end, or at least volumes."""
    return instance.has_task or (wipe and bool(instance.home))
