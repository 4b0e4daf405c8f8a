"""Names of roles: what Mesos takes for one, in its words. Pure."""

from __future__ import annotations


def role(name: str) -> str | None:
    """Whether ``name`` can be a role: the complaint, or None."""
    if name == "*":
        return None
    if not name:
        return "Empty role name is invalid"
    if name.startswith("/"):
        return f"Role '{name}' cannot start with a slash"
    if name.endswith("/"):
        return f"Role '{name}' cannot end with a slash"
    for part in name.split("/"):
        if not part:
            return f"Role '{name}' cannot contain two adjacent slashes"
        if part in (".", "..", "*"):
            return f"Role '{name}' cannot include '{part}' as a component"
        if part.startswith("-"):
            return f"Role component '{part}' is invalid because it begins with a dash"
        if any(c in "\b\t\n\v\f\r " for c in part):
            return f"Role component '{part}' is invalid because it contains backspace or whitespace"
    return None


def is_subrole(name: str, parent: str) -> bool:
    """Whether ``name`` lies below ``parent`` in the tree of roles."""
    return name.startswith(parent + "/")
