"""``headrace up``: master, agents and marathon as child processes, the gateway in its own.

core.py decides (what to start, when to start it again, in which order to stop); supervisor.py and
daemon_process.py do. The process stays small: neither click nor rich is imported here.
"""
