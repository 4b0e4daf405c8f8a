"""What a person needs to read of a Java stack trace; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SCRIPT_ERROR = "org.headrace.flink.SqlScriptException: "
_CLASS = re.compile(r"^(?:<Exception on server side:\s*)?(?:[a-z_$][\w$]*\.)+[A-Z][\w$]*(?:: |$)", re.MULTILINE)
_NO_MAIN = re.compile(r"entry point class '([^']+)' was not found in the jar")
_MAIN_FAILED = "The main method caused an error"
_STACK = re.compile(r"\n\s*(?:at [\w.$<>/]+\(|\.\.\. \d+ more)|\nEnd of exception on server side>|\nCaused by: ")
_TRACE = re.compile(r"^(?:[a-z_$][\w$]*\.)+[A-Z][\w$]*(?:: .*)?$", re.MULTILINE)
_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:", re.MULTILINE)
"""Where a trace begins, and an entry of the log (see conf.LOG4J)."""
_WORDS = "password|secret|token|api-?key|account.key|service-key|auth-params|basic-auth|jaas.config|http-headers"
_SECRET = re.compile(_WORDS, re.IGNORECASE)
_ASSIGNED = re.compile(rf"((?:{_WORDS})[\w.-]*=)\S+", re.IGNORECASE)
_CAUSED = re.compile(r"(?:^|\n)Caused by: ")
_LIMIT, _SHORT = 2000, 500


def root_cause(trace: str) -> str:
    """The message in a Java stack trace that says what is wrong; a text without a trace as it is."""
    at = trace.find(_SCRIPT_ERROR)
    if at >= 0:
        return _until_stack(trace[at + len(_SCRIPT_ERROR) :])
    causes = [_until_stack(part) for part in _CAUSED.split(trace)]
    for cause in reversed(causes):
        message = _CLASS.sub("", cause, count=1).strip()
        if message:
            return message[:_LIMIT]
    return _until_stack(trace)[:_LIMIT]


def submission_error(trace: str) -> str:
    """As ``root_cause``; of a program that built no job, that it failed, and the kind of its exception."""
    if _SCRIPT_ERROR in trace:
        return root_cause(trace)
    if found := _NO_MAIN.search(trace):
        return f"the class {found[1]} is not in the jar"
    if _MAIN_FAILED not in trace:
        return root_cause(trace)
    cause = _until_stack(re.split(r"(?:^|\n)Caused by: ", trace)[-1])
    if _MAIN_FAILED in cause:
        return root_cause(trace)
    name, separator, message = cause.partition(": ")
    return f"the program failed: {name.rpartition('.')[2]}{separator}{message}"[:_LIMIT]


def last_error(log: str) -> str:
    """What the last stack trace in a JobManager's log says, in one line; empty if there is none.

    That is its root cause, after the message of what was caused by it: that one names the option.
    """
    begins = [match.start() for match in _TRACE.finditer(log)]
    if not begins:
        return ""
    trace = _ENTRY.split(log[begins[-1] :], maxsplit=1)[0]
    causes = _CAUSED.split(trace)
    said = [" ".join(_CLASS.sub("", _until_stack(part), count=1).split()) for part in causes[-2:]]
    if len(said) > 1 and said[1] in said[0]:
        del said[1]
    return ": ".join(filter(None, (text.rstrip(".") for text in said)))[:_SHORT] or root_cause(trace)[:_SHORT]


def without_secrets(text: str, options: Mapping[str, str]) -> str:
    """``text`` without the values of options that are secret by their names, as Flink itself hides them."""
    values = {value for key, value in options.items() if _SECRET.search(key) and value not in ("", "true", "false")}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "***")
    return _ASSIGNED.sub(r"\1***", text)


def _until_stack(text: str) -> str:
    match = _STACK.search(text)
    return (text[: match.start()] if match else text).strip()
