"""The rules that definitions must keep, each with Marathon's own message. Pure."""

from headrace.marathon.definitions.rules.apps import check_app, check_update
from headrace.marathon.definitions.rules.context import Context
from headrace.marathon.definitions.rules.pods import check_pod, check_pod_update
from headrace.marathon.definitions.rules.root import check_group, check_root

__all__ = ["Context", "check_app", "check_group", "check_pod", "check_pod_update", "check_root", "check_update"]
