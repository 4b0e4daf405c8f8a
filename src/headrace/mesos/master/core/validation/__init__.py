"""What Mesos checks of frameworks, tasks, executors and operations, with its messages.

Each function returns the complaint, or None.
"""

from headrace.mesos.master.core.validation.executors import executor, group, member, same
from headrace.mesos.master.core.validation.frameworks import framework, framework_update, preserved
from headrace.mesos.master.core.validation.names import identifier
from headrace.mesos.master.core.validation.operations import operation
from headrace.mesos.master.core.validation.tasks import by_itself, task
from headrace.mesos.resources.roles import role

__all__ = [
    "by_itself",
    "executor",
    "framework",
    "framework_update",
    "group",
    "identifier",
    "member",
    "operation",
    "preserved",
    "role",
    "same",
    "task",
]
