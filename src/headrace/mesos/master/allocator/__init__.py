"""Who is offered which agent: dominant resource fairness, incremental and pure.

``Allocator`` is told what changes (frameworks, agents, resources that come back) and says on
``allocate`` what is to be offered to whom. The rules stand in ``allocator.allocator``, the
order in ``allocator.fairness``, what is kept in ``allocator.model``.
"""

from headrace.mesos.master.allocator.allocator import Allocator
from headrace.mesos.master.allocator.model import Allocation, Filter

__all__ = ["Allocation", "Allocator", "Filter"]
