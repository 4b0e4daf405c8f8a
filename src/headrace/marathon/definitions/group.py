"""What a group has of its own; its apps, pods and groups are told by their ids."""

from __future__ import annotations

from headrace.marathon.definitions.parts import Part


class Group(Part, frozen=True):
    """``enforce_role``: what is in it has the group's name as its role. Only top-level groups can have it."""

    dependencies: list[str] = []
    enforce_role: bool = False


NOTHING = Group()
"""A group that is there only because of what is in it."""
