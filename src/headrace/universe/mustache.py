"""Mustache as packages use it to make JSON; pure.

Variables (dotted names, two or three braces), sections, inverted sections, comments. No partials, no other
delimiters: no package has them, so they are errors. What differs from plain Mustache is as in DC/OS: nothing is
escaped for HTML; a string is inserted as it stands between the quotes of JSON; true and false, never True; a
number without a fraction as an integer; a list or an object as JSON; {{#asJson}}name{{/asJson}} is any value as
JSON. Empty are: what is missing, null, false, "" and []; the number 0 is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class TemplateError(Exception):
    """The template is wrong: what, and in which line."""


class _Section(msgspec.Struct):
    name: str
    inverted: bool
    line: int
    parts: list[_Part]


class _Variable(msgspec.Struct):
    name: str


_Part = str | _Variable | _Section

_TAG = re.compile(r"\{\{(\{[^{}]*\}|[^{}]*)\}\}")
_OTHER = {">": "a partial", "=": "another delimiter", "<": "a parent template", "$": "a block"}
_MISSING = object()


def render(template: str, values: Mapping[str, Any]) -> str:
    """The template filled in. Raises TemplateError."""
    out: list[str] = []
    _write(_parse(template), [values], out)
    return "".join(out)


def _parse(template: str) -> list[_Part]:
    root: list[_Part] = []
    open_sections: list[_Section] = []
    parts, at = root, 0
    for match in _TAG.finditer(template):
        if match.start() > at:
            parts.append(template[at : match.start()])
        at = match.end()
        line = template.count("\n", 0, match.start()) + 1
        kind, name = _tag(match[1], line)
        if kind in ("#", "^"):
            section = _Section(name, kind == "^", line, [])
            parts.append(section)
            open_sections.append(section)
            parts = section.parts
        elif kind == "/":
            if not open_sections or open_sections[-1].name != name:
                wanted = f"{{{{/{open_sections[-1].name}}}}}" if open_sections else "no end"
                raise TemplateError(f"line {line}: {{{{/{name}}}}} ends no section; {wanted} is expected here")
            open_sections.pop()
            parts = open_sections[-1].parts if open_sections else root
        elif kind != "!":
            parts.append(_Variable(name))
    if open_sections:
        raise TemplateError(f"line {open_sections[-1].line}: {{{{#{open_sections[-1].name}}}}} has no end")
    if at < len(template):
        parts.append(template[at:])
    return root


def _tag(content: str, line: int) -> tuple[str, str]:
    if content.startswith("{"):
        return "", _named(content[1:-1], line)
    kind = content[:1]
    if kind in _OTHER:
        raise TemplateError(f"line {line}: {{{{{content}}}}} is {_OTHER[kind]}, which packages don't have")
    if kind == "!":
        return kind, ""
    if kind in ("#", "^", "/"):
        return kind, _named(content[1:], line)
    return "", _named(content.removeprefix("&"), line)


def _named(text: str, line: int) -> str:
    if not text.strip():
        raise TemplateError(f"line {line}: a tag without a name")
    return text.strip()


def _write(parts: Sequence[_Part], scopes: list[Any], out: list[str]) -> None:
    for part in parts:
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, _Variable):
            out.append(_text(_look_up(part.name, scopes)))
        else:
            _write_section(part, scopes, out)


def _write_section(section: _Section, scopes: list[Any], out: list[str]) -> None:
    value = _look_up(section.name, scopes)
    if value is _MISSING and section.name == "asJson":
        inner: list[str] = []
        _write(section.parts, scopes, inner)
        named = _look_up("".join(inner).strip(), scopes)
        out.append("null" if named is _MISSING else msgspec.json.encode(_whole(named)).decode())
        return
    empty = value is _MISSING or value is None or value is False or value in ("", [])
    if section.inverted:
        if empty:
            _write(section.parts, scopes, out)
    elif not empty:
        for item in value if isinstance(value, list) else [value]:
            _write(section.parts, [*scopes, item], out)


def _look_up(name: str, scopes: Sequence[Any]) -> Any:
    if name == ".":
        return scopes[-1]
    first, *rest = name.split(".")
    for scope in reversed(scopes):
        if isinstance(scope, Mapping) and first in scope:
            value = scope[first]
            for key in rest:
                if not isinstance(value, Mapping) or key not in value:
                    return _MISSING
                value = value[key]
            return value
    return _MISSING


def _text(value: Any) -> str:
    if value is _MISSING or value is None:
        return ""
    if isinstance(value, str):
        return msgspec.json.encode(value).decode()[1:-1]
    return msgspec.json.encode(_whole(value)).decode()


def _whole(value: Any) -> Any:
    """Floats without a fraction as integers, at any depth."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _whole(item) for key, item in value.items()}
    return value
