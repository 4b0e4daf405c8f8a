"""The Mesos agent: offers a machine's resources to the master and runs tasks for it.

``core`` decides; ``link`` talks to the master, ``launcher`` starts and watches processes, ``fetcher`` fills
sandboxes, ``api`` answers people; ``daemon`` puts them together.
"""
