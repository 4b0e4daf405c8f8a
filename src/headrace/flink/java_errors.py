"""What a person needs to read of a Java stack trace; pure."""

from __future__ import annotations

import re

_SCRIPT_ERROR = "org.headrace.flink.SqlScriptException: "
_CLASS = re.compile(r"^(?:<Exception on server side:\s*)?(?:[a-z_$][\w$]*\.)+[A-Z][\w$]*(?:: |$)", re.MULTILINE)
_STACK = re.compile(r"\n\s*(?:at [\w.$<>/]+\(|\.\.\. \d+ more)|\nEnd of exception on server side>|\nCaused by: ")
_LIMIT = 2000


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
