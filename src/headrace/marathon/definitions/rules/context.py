"""What rules depend on beside the definition: flags, and the roles of the group."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from headrace.marathon.definitions.errors import Violation

SECRETS, GPUS, EXTERNAL_VOLUMES = "secrets", "gpu_resources", "external_volumes"


class Context(msgspec.Struct, frozen=True):
    """``roles``: those that are allowed, the default one first; ``features``: --enable_features."""

    roles: tuple[str, ...] = ("*",)
    features: frozenset[str] = frozenset()

    def needs(self, feature: str, path: str) -> Iterator[Violation]:
        """A violation at ``path`` if ``feature`` is not enabled."""
        if feature not in self.features:
            yield Violation(path, f"Feature {feature} is not enabled. Enable with --enable_features {feature})")
