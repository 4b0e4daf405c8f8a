"""The options of a package: defaults out of its config.json, and what is wrong with given ones; pure.

config.json is a JSON schema of draft 4, of which packages use types, properties, required, enum and bounds. A
keyword beyond those that are read here describes (title, media) or is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Json = Any
_SECRET = re.compile(
    "secret|passw|passphrase|pwd$|keytab|token|credential|(private|access|api|account|sign|signing|encryption|auth)key"
)
"""Names, in small letters and digits, of what is not to be shown."""
_TYPES: dict[str, Callable[[Json], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}


def defaults(schema: Mapping[str, Json]) -> dict[str, Json]:
    """What options are if nobody gives any: each property's default, or those of its own properties."""
    out: dict[str, Json] = {}
    for name, property_schema in _properties(schema).items():
        if "default" in property_schema:
            out[name] = property_schema["default"]
        elif _properties(property_schema):
            out[name] = defaults(property_schema)
    return out


def merged(below: Mapping[str, Json], above: Mapping[str, Json]) -> dict[str, Json]:
    """Both together, ``above`` winning; objects are merged, all else is replaced."""
    out = dict(below)
    for name, value in above.items():
        known = out.get(name)
        out[name] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return out


def problems(schema: Mapping[str, Json], value: Json, path: str = "") -> list[str]:
    """What is wrong with options: one line each, which begins with the option's path."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES[kind](value) for kind in kinds if kind in _TYPES):
        return [_said(path, f"must be {_named(kinds)}, not {_shown(value)}")]
    if "enum" in schema and value not in schema["enum"]:
        return [_said(path, f"must be one of {', '.join(map(_shown, schema['enum']))}, not {_shown(value)}")]
    if isinstance(value, dict):
        return _of_object(schema, value, path)
    if isinstance(value, list):
        return _of_array(schema, value, path)
    if isinstance(value, str):
        return _of_string(schema, value, path)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _of_number(schema, value, path)
    return []


def _of_object(schema: Mapping[str, Json], value: Mapping[str, Json], path: str) -> list[str]:
    known = _properties(schema)
    out = [
        _said(_join(path, name), "is missing") for name in schema.get("required", []) if name not in value
    ]  # draft 4: a list of names
    rest = schema.get("additionalProperties", True)
    for name, item in value.items():
        where = _join(path, name)
        if name in known:
            out += problems(known[name], item, where)
        elif rest is False:
            out.append(_said(where, f"is no option of this package{_near(name, known)}"))
        elif isinstance(rest, dict):
            out += problems(rest, item, where)
    return out


def _of_array(schema: Mapping[str, Json], value: list[Json], path: str) -> list[str]:
    out = []
    if len(value) < schema.get("minItems", 0):
        out.append(_said(path, f"must have {schema['minItems']} items or more, not {len(value)}"))
    if len(value) > schema.get("maxItems", len(value)):
        out.append(_said(path, f"must have {schema['maxItems']} items at most, not {len(value)}"))
    items = schema.get("items", {})
    for index, item in enumerate(value):
        own = (items[index] if index < len(items) else {}) if isinstance(items, list) else items
        out += problems(own, item, f"{path}[{index}]")
    return out


def _of_string(schema: Mapping[str, Json], value: str, path: str) -> list[str]:
    out = []
    if len(value) < schema.get("minLength", 0):
        out.append(_said(path, f"must have {schema['minLength']} characters or more"))
    if len(value) > schema.get("maxLength", len(value)):
        out.append(_said(path, f"must have {schema['maxLength']} characters at most"))
    if "pattern" in schema:
        out += _against(schema["pattern"], value, path)
    return out


def _against(pattern: Json, value: str, path: str) -> list[str]:
    try:
        found = re.search(pattern, value)
    except (re.error, TypeError) as error:
        return [_said(path, f"can't be checked: the package's config.json has the pattern {_shown(pattern)}: {error}")]
    return [] if found else [_said(path, f"is {_shown(value)}, which does not match {pattern}")]


def _of_number(schema: Mapping[str, Json], value: float, path: str) -> list[str]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and (value < least or (value == least and schema.get("exclusiveMinimum") is True)):
        word = "more than" if schema.get("exclusiveMinimum") is True else "at least"
        return [_said(path, f"must be {word} {least:g}, not {value:g}")]
    if most is not None and (value > most or (value == most and schema.get("exclusiveMaximum") is True)):
        word = "less than" if schema.get("exclusiveMaximum") is True else "at most"
        return [_said(path, f"must be {word} {most:g}, not {value:g}")]
    return []


def _properties(schema: Mapping[str, Json]) -> dict[str, Json]:
    found = schema.get("properties", {})
    return {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}


def without_secrets(schema: Mapping[str, Json], value: Json) -> Json:
    """``value`` without what the schema marks as a secret (a password's format, write-only, a secret's media type),
    and without what is called one, at any depth.
    """
    if isinstance(value, list):
        items = schema.get("items")
        return [without_secrets(items if isinstance(items, dict) else {}, item) for item in value]
    if not isinstance(value, dict):
        return value
    known = _properties(schema)
    kept = {name: one for name, one in value.items() if not _is_secret(name, known.get(name, {}))}
    return {name: without_secrets(known.get(name, {}), one) for name, one in kept.items()}


def _is_secret(name: str, schema: Mapping[str, Json]) -> bool:
    media = schema.get("media")
    kind = media.get("type") if isinstance(media, dict) else schema.get("media-type")
    marked = schema.get("format") == "password" or schema.get("writeOnly") is True or "secret" in str(kind)
    return marked or _SECRET.search(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _said(path: str, text: str) -> str:
    return f"{path or 'the options'}: {text}"


def _named(kinds: list[str]) -> str:
    return " or ".join(f"an {kind}" if kind[0] in "aio" else f"a {kind}" for kind in kinds)


def _shown(value: Json) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."


def _near(name: str, known: Mapping[str, Json]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ""
