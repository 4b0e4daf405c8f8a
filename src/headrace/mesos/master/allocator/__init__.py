"""Who is offered which agent: hierarchical dominant resource fairness, incremental and pure.

``Allocator`` is told what changes (frameworks, agents, quota, resources that come back or are converted)
and says on ``allocate`` what is to be offered to whom. What is looked at and in which order stands in
``cycle``, what a client may have in ``grants`` and ``quota``, whose turn it is in ``tree`` and ``fairness``.
"""

from headrace.mesos.master.allocator.allocator import Allocator
from headrace.mesos.master.allocator.model import Allocation, Constraint, Filter, Least

__all__ = ["Allocation", "Allocator", "Constraint", "Filter", "Least"]
