"""Environment variables: ``containerized.taskmanager.env.<NAME>`` and ``containerized.master.env.<NAME>``."""

from __future__ import annotations

from headrace.flink.overlays.shipment import Ground, Shipment

TASK_MANAGER = "containerized.taskmanager.env."
MASTER = "containerized.master.env."


def ship(ground: Ground) -> Shipment:
    """The variables; those of the master are the JobManager's."""

    def below(prefix: str) -> dict[str, str]:
        return {key.removeprefix(prefix): text for key, text in ground.options.items() if key.startswith(prefix)}

    return Shipment(environment=below(TASK_MANAGER), master_environment=below(MASTER))
