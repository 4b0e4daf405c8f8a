"""The list of all endpoints: for /help, docs/api/marathon.md and the test that asks each of them."""

from __future__ import annotations

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """``query`` are the parameters that count, ``answer`` what a request that is met gets."""

    method: str
    path: str
    query: str
    answer: str
    about: str


_DEPLOYMENT = "200 `{version, deploymentId}`"

ENDPOINTS: tuple[Endpoint, ...] = tuple(
    Endpoint(*row)
    for row in (
        ("GET", "/v2/apps", "cmd, id, label, embed", "200 `{apps: […]}`", "all apps, or those that match"),
        ("POST", "/v2/apps", "force", "201 the app", "makes an app"),
        ("PUT", "/v2/apps", "force, partialUpdate", _DEPLOYMENT, "changes or makes several, in one deployment"),
        ("PATCH", "/v2/apps", "force", _DEPLOYMENT, "changes several that are there"),
        ("GET", "/v2/apps/{id}", "embed", "200 `{app: {…}}`", "one app with tasks and last failure"),
        ("GET", "/v2/apps/{group}/*", "embed", "200 `{*: […]}`", "all apps below a group"),
        ("PUT", "/v2/apps/{id}", "force, partialUpdate", _DEPLOYMENT, "changes an app; 201 if it makes it"),
        ("PATCH", "/v2/apps/{id}", "force", _DEPLOYMENT, "changes an app that is there"),
        ("DELETE", "/v2/apps/{id}", "force (true)", _DEPLOYMENT, "removes an app"),
        ("POST", "/v2/apps/{id}/restart", "force", _DEPLOYMENT, "replaces all its tasks"),
        ("GET", "/v2/apps/{id}/tasks", "", "200 `{tasks: […]}`", "its tasks; `{group}/*/tasks` for a group"),
        ("DELETE", "/v2/apps/{id}/tasks", "host, scale, wipe, force", "200 `{tasks: […]}`", "kills its tasks"),
        ("DELETE", "/v2/apps/{id}/tasks/{task}", "scale, wipe, force", "200 `{task: {…}}`", "kills one of them"),
        ("GET", "/v2/apps/{id}/history", "", "200 `{instances, deployments}`", "how instances and deployments ended"),
        ("GET", "/v2/apps/{id}/versions", "", "200 `{versions: […]}`", "its versions, newest first"),
        ("GET", "/v2/apps/{id}/versions/{version}", "", "200 the app", "the app as it was"),
        ("GET", "/v2/groups", "embed", "200 the root group", "all groups, apps and pods"),
        ("GET", "/v2/groups/{id}", "embed", "200 the group", "one group"),
        ("GET", "/v2/groups/{id}/apps", "embed", "200 `[…]`", "all apps below it"),
        ("GET", "/v2/groups/{id}/versions", "", "200 `[…]`", "when it was changed, newest first"),
        ("GET", "/v2/groups/{id}/versions/{version}", "embed", "200 the group", "the group as it was"),
        ("PUT", "/v2/groups/{id}/versions/{version}", "force", _DEPLOYMENT, "makes it so again; no body"),
        ("POST", "/v2/groups", "force", "201 `{version, deploymentId}`", "makes a group with all that is in it"),
        ("POST", "/v2/groups/{id}", "force", "201 `{version, deploymentId}`", "the same, with the id in the path"),
        ("PUT", "/v2/groups", "force, dryRun", _DEPLOYMENT, "changes the root group"),
        ("PUT", "/v2/groups/{id}", "force, dryRun", _DEPLOYMENT, "changes or makes a group, scales it, or goes back"),
        ("PATCH", "/v2/groups/{id}", "", "200", "`enforceRole` of a top-level group"),
        ("DELETE", "/v2/groups", "force", _DEPLOYMENT, "removes everything"),
        ("DELETE", "/v2/groups/{id}", "force", _DEPLOYMENT, "removes a group with all that is in it"),
        ("HEAD", "/v2/pods", "", "200", "whether there are pods"),
        ("GET", "/v2/pods", "", "200 `[…]`", "all pods"),
        ("POST", "/v2/pods", "force", "201 the pod", "makes a pod"),
        ("GET", "/v2/pods/{id}", "", "200 the pod", "one pod"),
        ("PUT", "/v2/pods/{id}", "force", "200 the pod", "replaces a pod's definition"),
        ("DELETE", "/v2/pods/{id}", "force", "202", "removes a pod"),
        ("GET", "/v2/pods/::status", "", "200 `[…]`", "what all pods do"),
        ("GET", "/v2/pods/{id}::status", "", "200 the status", "what a pod's instances do"),
        ("GET", "/v2/pods/{id}::history", "", "200 `{instances, deployments}`", "the same for a pod"),
        ("GET", "/v2/pods/{id}::versions", "", "200 `[…]`", "its versions, newest first"),
        ("GET", "/v2/pods/{id}::versions/{version}", "", "200 the pod", "the pod as it was"),
        ("DELETE", "/v2/pods/{id}::instances", "wipe", "200 `[…]`", "kills the instances in the body `[…]`"),
        ("DELETE", "/v2/pods/{id}::instances/{instance}", "wipe", "200 the instance", "kills one of them"),
        ("GET", "/v2/tasks", "status", "200 `{tasks: […]}`", "the tasks of all apps"),
        ("POST", "/v2/tasks/delete", "scale, wipe, force", "200 `{tasks: […]}`", "kills those in `{ids: […]}`"),
        ("GET", "/v2/deployments", "ended, embed", "200 `[…]`", "what is under way; with `ended` what is over"),
        ("GET", "/v2/deployments/{id}", "embed", "200 the deployment", "one that is under way or over"),
        ("DELETE", "/v2/deployments/{id}", "force", _DEPLOYMENT, "goes back; with force it only stops: 202"),
        ("GET", "/v2/queue", "embed", "200 `{queue: […]}`", "what waits for offers, and why"),
        ("DELETE", "/v2/queue/{id}/delay", "", "204", "start an app that keeps failing at once"),
        ("GET", "/v2/events", "event_type", "200 event stream", "needs `Accept: text/event-stream`"),
        ("GET", "/v2/info", "", "200 `{…}`", "name, version, configuration"),
        ("GET", "/v2/leader", "", "200 `{leader}`", "who leads; 404 if nobody does"),
        ("DELETE", "/v2/leader", "", "200 `{message}`", "ends the leader with status 103 after half a second"),
        ("GET", "/v2/plugins", "", "200 `{plugins: []}`", "there are none"),
        ("GET", "/metrics", "", "200 `{…}`", "gauges, counters, meters, timers"),
        ("GET", "/metrics/prometheus", "", "200 text", "the same for Prometheus"),
        ("GET", "/config", "", "200 `{…}`", "the value of each flag, secrets hidden"),
        ("GET", "/logging", "", "200 `{…}`", "the level of each logger"),
        ("POST", "/logging", "", "200 `{…}`", "sets one: `{logger, level, durationSeconds}`"),
        ("GET", "/ping", "", "200 `pong`", "whether it is there; never needs a password"),
        ("GET", "/help", "", "200 page", "this list"),
        ("GET", "/ui/", "", "200 page", "apps and deployments, for a browser"),
        ("GET", "/", "", "302", "leads to /ui/"),
    )
)
