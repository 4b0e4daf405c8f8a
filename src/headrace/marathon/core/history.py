"""The root group as it was: the present, with the latest changes undone one after the other."""

from __future__ import annotations

import msgspec

from headrace.marathon.core.books import Books
from headrace.marathon.definitions.group import Group
from headrace.marathon.definitions.run_spec import RunSpec


class Root(msgspec.Struct, frozen=True):
    """All apps and pods, and what groups have of their own."""

    specs: dict[str, RunSpec]
    groups: dict[str, Group]


def versions(books: Books, path: str) -> list[str]:
    """When the group, or anything in it, was changed; newest first."""
    prefix = path.rstrip("/") + "/"
    changed = (
        one.version
        for one in reversed(books.changes)
        if any(name == path or name.startswith(prefix) for name in (*one.specs, *one.groups))
    )
    return list(changed)


def root_at(books: Books, version: str) -> Root | None:
    """What there was at ``version``, one of a change; None if that is not known any more."""
    if not any(one.version == version for one in books.changes):
        return None
    specs, groups = dict(books.specs), dict(books.groups)
    for change in reversed(books.changes):
        if change.version == version:
            break
        for spec_id, spec in change.specs.items():
            if spec is None:
                specs.pop(spec_id, None)
            else:
                specs[spec_id] = spec
        for path, group in change.groups.items():
            if group is None:
                groups.pop(path, None)
            else:
                groups[path] = group
    return Root(specs, groups)
