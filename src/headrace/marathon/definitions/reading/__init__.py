"""From a request's JSON to a definition: read by schema, turn deprecated fields into new ones, fill defaults."""

from headrace.marathon.definitions.reading.apps import read_fields, to_app
from headrace.marathon.definitions.reading.json import MAX_DEPTH, parse
from headrace.marathon.definitions.reading.pods import read_pod

__all__ = ["MAX_DEPTH", "parse", "read_fields", "read_pod", "to_app"]
