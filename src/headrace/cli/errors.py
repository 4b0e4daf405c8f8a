"""Makes of a server's error what a person needs to read; pure.

Marathon answers ``{"message", "details": [{"path", "errors"}]}``, Mesos plain text, Flink
``{"errors": [...]}`` with Java stack traces in it.
"""

from __future__ import annotations

from typing import Any

import msgspec

_UNTELLING = {"Internal server error.", ""}
_LIMIT = 2000


def server_message(status: int, body: bytes) -> str:
    """The message of an error answer, one line per detail with the field's path."""
    content = _json(body)
    if isinstance(content, dict):
        if isinstance(content.get("errors"), list):
            return flink_message([str(error) for error in content["errors"]])
        if isinstance(content.get("message"), str):
            return "\n".join([content["message"], *_details(content.get("details"))])
    text = body[:_LIMIT].decode("utf-8", "replace").strip()
    return text or f"status {status} without an explanation"


def flink_message(errors: list[str]) -> str:
    """The useful part of Flink's errors: a script's own error, else the innermost cause."""
    from headrace.flink.java_errors import submission_error

    telling = [error for error in errors if error.strip() not in _UNTELLING]
    if not telling:
        return " ".join(errors).strip() or "Flink gave no explanation; its log has the details"
    return submission_error(telling[-1])


def _details(details: Any) -> list[str]:
    lines: list[str] = []
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            path = str(detail.get("path") or "")
            errors = detail.get("errors")
            texts = errors if isinstance(errors, list) else [errors]
            lines += [f"  {path + ': ' if path else ''}{text}" for text in texts if text]
        elif detail:
            lines.append(f"  {detail}")
    return lines


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
