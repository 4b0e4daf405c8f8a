"""Docker containers: through the engine's API on its socket, no ``docker`` command and no process of our own for each.

``translation`` (with ``parameters`` and ``volumes``) makes of a ContainerSpec what the engine is asked for;
``frames``, ``log_place`` and ``images`` read what it answers: all pure. ``engine`` talks to it, ``starting`` brings a
container up, ``output`` copies what it writes, ``containerizer`` keeps it all together.
"""
