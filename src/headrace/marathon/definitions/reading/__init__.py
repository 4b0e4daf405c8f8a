"""From a request's JSON to a definition: read by schema, turn deprecated fields into new ones, fill defaults."""

from headrace.marathon.definitions.reading.apps import read_fields, to_app
from headrace.marathon.definitions.reading.groups import GroupUpdate, read_group
from headrace.marathon.definitions.reading.json import MAX_DEPTH, parse
from headrace.marathon.definitions.reading.pods import read_pod, to_pod

__all__ = ["MAX_DEPTH", "GroupUpdate", "parse", "read_fields", "read_group", "read_pod", "to_app", "to_pod"]
