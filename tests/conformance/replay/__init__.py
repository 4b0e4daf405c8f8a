"""Replays recorded traffic of Apache Mesos 1.11 against our daemons and compares what comes back.

Recorded ids stand for live ones (``names``): frameworks and streams by the order in which they appear,
agents by their attribute ``rack``, offers by agent and role, updates by their place among those of
their task. Times, pids and the like are compared by their form alone (``compare``). A difference that
is meant stands in ``tests.conformance.differences`` with its reason; every other one fails, and so does an
event that nobody recorded.
"""
