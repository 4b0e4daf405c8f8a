"""What API requests change: each is checked as a whole first, then done as one deployment.

A refused request raises ``Rejected`` before anything is changed.
"""

from headrace.marathon.core.changes.apps import AppChanges
from headrace.marathon.core.changes.deploying import Deployer
from headrace.marathon.core.changes.groups import GroupChanges
from headrace.marathon.core.changes.instances import InstanceChanges
from headrace.marathon.core.changes.pods import PodChanges

__all__ = ["AppChanges", "Deployer", "GroupChanges", "InstanceChanges", "PodChanges"]
