"""The demo behind ``make run``: from nothing to the checked result of a Flink job, with times.

A short-lived child of ``headrace up``: what it needs leaves memory with it.
"""
