"""What keeps containers within their bounds and apart from each other: cgroups, namespaces, volumes, rlimits.

``choose`` turns the flags and what the machine can do into an ``Isolation``, which the launcher asks at each
start and end of a container and the prober for each command that is to run inside one.
"""
