"""What a person reads of a server's error."""

from __future__ import annotations

import json

import pytest

from headrace.cli.errors import flink_message, server_message
from headrace.flink.java_errors import root_cause

SQL = """<Exception on server side:
org.apache.flink.util.FlinkRuntimeException: Could not execute application.
\tat org.apache.flink.client.deployment.application.DetachedApplicationRunner.run(X.java:88)
\t... 2 more
Caused by: org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: \
Statement 3 at line 7 failed: INSERT INTO sink
  Column 'naem' not found in any table
\tat org.apache.flink.client.program.PackagedProgram.callMainMethod(PackagedProgram.java:372)
Caused by: org.headrace.flink.SqlScriptException: Statement 3 at line 7 failed: INSERT INTO sink
  Column 'naem' not found in any table
\tat org.headrace.flink.SqlJob.failure(SqlJob.java:233)
Caused by: org.apache.calcite.sql.validate.SqlValidatorException: Column 'naem' not found in any table
\tat java.base/jdk.internal.reflect.Native(Native Method)
\t... 29 more

End of exception on server side>"""

JAR = """java.util.concurrent.CompletionException: org.apache.flink.util.FlinkException: Job failed.
\tat java.base/java.util.concurrent.CompletableFuture.x(CompletableFuture.java:331)
Caused by: java.lang.IllegalStateException: no input given
\tat demo.Job.main(Job.java:12)
Caused by: java.lang.NullPointerException
\tat demo.Job.read(Job.java:40)
"""


def test_a_scripts_error_is_the_planners_message_with_its_statement() -> None:
    body = json.dumps({"errors": ["Internal server error.", SQL]}).encode()
    assert server_message(500, body) == (
        "Statement 3 at line 7 failed: INSERT INTO sink\n  Column 'naem' not found in any table"
    )


def test_of_a_jars_error_the_innermost_message_that_says_something() -> None:
    assert root_cause(JAR) == "no input given"


_SERVER_SIDE = "<Exception on server side:\norg.apache.flink.client.program.ProgramInvocationException: "
_STACK = "\n\tat a.b.C(D.java:1)\n"


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        (
            f"{_SERVER_SIDE}The program's entry point class 'a.b.C' was not found in the jar file.{_STACK}"
            f"Caused by: java.lang.ClassNotFoundException: a.b.C{_STACK}",
            "the class a.b.C is not in the jar",
        ),
        (
            f'{_SERVER_SIDE}The main method caused an error: For input string: "abc"{_STACK}'
            f'Caused by: java.lang.NumberFormatException: For input string: "abc"{_STACK}',
            'the program failed: NumberFormatException: For input string: "abc"',
        ),
        (
            f"{_SERVER_SIDE}The main method caused an error: null{_STACK}"
            f"Caused by: java.lang.NullPointerException{_STACK}",
            "the program failed: NullPointerException",
        ),
        (f"{_SERVER_SIDE}The main method caused an error: x{_STACK}", "The main method caused an error: x"),
        (JAR, "no input given"),
    ],
)
def test_a_program_that_builds_no_job(trace: str, message: str) -> None:
    assert flink_message(["Internal server error.", trace]) == message


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        (["Jar file x.jar does not exist"], "Jar file x.jar does not exist"),
        (["Internal server error."], "Internal server error."),
        ([], "Flink gave no explanation; its log has the details"),
        (
            ["org.apache.flink.runtime.rest.NotFoundException: Job 12 not found\n\tat a.b.C(D.java:1)"],
            "Job 12 not found",
        ),
    ],
)
def test_flinks_plain_errors(errors: list[str], message: str) -> None:
    assert flink_message(errors) == message


def test_marathons_details_come_with_their_paths() -> None:
    body = {"message": "Object is not valid", "details": [{"path": "/cpus", "errors": ["must be 0 or more"]}]}
    assert server_message(422, json.dumps(body).encode()) == "Object is not valid\n  /cpus: must be 0 or more"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"Framework is not subscribed", "Framework is not subscribed"),
        (b"", "status 503 without an explanation"),
        (b'{"message":"App \'/x\' does not exist"}', "App '/x' does not exist"),
        (
            b'{"message":"no","details":[{"errors":["why"]},"plain",{"path":"/a","errors":"one"}]}',
            "no\n  why\n  plain\n  /a: one",
        ),
        (b"[1]", "[1]"),
    ],
)
def test_other_bodies(body: bytes, text: str) -> None:
    assert server_message(503, body) == text
