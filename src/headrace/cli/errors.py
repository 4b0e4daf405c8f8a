"""Makes of a server's error what a person needs to read; pure.

Marathon answers ``{"message", "details": [{"path", "errors"}]}``, Mesos plain text, Flink
``{"errors": [...]}`` with Java stack traces in it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

_SCRIPT_ERROR = "org.headrace.flink.SqlScriptException: "
_CLASS = re.compile(r"^(?:<Exception on server side:\s*)?(?:[a-z_$][\w$]*\.)+[A-Z][\w$]*(?:: |$)", re.MULTILINE)
_STACK = re.compile(r"\n\s*(?:at [\w.$<>/]+\(|\.\.\. \d+ more)|\nEnd of exception on server side>|\nCaused by: ")
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
    telling = [error for error in errors if error.strip() not in _UNTELLING]
    if not telling:
        return " ".join(errors).strip() or "Flink gave no explanation; its log has the details"
    return root_cause(telling[-1])


def root_cause(trace: str) -> str:
    """The message in a Java stack trace that says what is wrong; a text without a trace as it is."""
    at = trace.find(_SCRIPT_ERROR)
    if at >= 0:
        return _until_stack(trace[at + len(_SCRIPT_ERROR) :])
    causes = [_until_stack(part) for part in re.split(r"(?:^|\n)Caused by: ", trace)]
    for cause in reversed(causes):
        message = _CLASS.sub("", cause, count=1).strip()
        if message:
            return message[:_LIMIT]
    return _until_stack(trace)[:_LIMIT]


def _until_stack(text: str) -> str:
    match = _STACK.search(text)
    return (text[: match.start()] if match else text).strip()


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
