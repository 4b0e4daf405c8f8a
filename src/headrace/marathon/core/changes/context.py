"""Which roles a definition may have, by the group that it is in."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.marathon.core.books import Books
from headrace.marathon.definitions.group import Group
from headrace.marathon.definitions.paths import top_group
from headrace.marathon.definitions.rules import Context
from headrace.marathon.definitions.run_spec import RunSpec


def default_role(books: Books, spec_id: str, groups: Mapping[str, Group | None]) -> str:
    """The role of what says none: Marathon's own, or the group's name where that is enforced."""
    top = top_group(spec_id)
    return top if top is not None and _enforced(books, top, groups) else books.settings.role


def context(books: Books, spec_id: str, before: RunSpec | None, groups: Mapping[str, Group | None]) -> Context:
    """What the rules depend on; ``groups`` are those that change at the same time."""
    top, own = top_group(spec_id), books.settings.role
    if top is None:
        roles = [own]
    elif _enforced(books, top, groups):
        roles = [top]
    else:
        roles = [own, top]
    if top is None or not _enforced(books, top, groups):
        roles.append("*")  # nobody's resources are anybody's, whatever --mesos_role is
    if before is not None and before.role not in roles:
        roles.append(before.role)
    return Context(tuple(dict.fromkeys(roles)), books.settings.features)


def _enforced(books: Books, top: str, groups: Mapping[str, Group | None]) -> bool:
    path = f"/{top}"
    group = groups.get(path, books.groups.get(path))
    if group is not None:
        return group.enforce_role
    if books.within[path] > 0:
        return False  # it is there already, without a word of its own
    return books.settings.new_group_enforce_role == "top"
