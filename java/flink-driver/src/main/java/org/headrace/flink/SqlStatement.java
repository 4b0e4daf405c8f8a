package org.headrace.flink;

import java.util.List;

/** One statement of a script, and where it stands. */
final class SqlStatement {

    enum Kind {
        /** Writes into a table, and so becomes part of the script's job. */
        INSERT,
        /** Several INSERTs between BEGIN and END; they are in parts. */
        STATEMENT_SET,
        SET,
        RESET,
        /** Yields rows, but has no table to write them to. */
        QUERY,
        /** Starts a job of its own when Flink executes it. */
        JOB,
        OTHER
    }

    final Kind kind;
    /** Counts from 1; the parts of a statement set have the number of the set. */
    final int number;
    /** Line and column of the first character, from 1. */
    final int line;

    final int column;
    final String text;
    final List<SqlStatement> parts;

    SqlStatement(
            Kind kind, int number, int line, int column, String text, List<SqlStatement> parts) {
        this.kind = kind;
        this.number = number;
        this.line = line;
        this.column = column;
        this.text = text;
        this.parts = parts;
    }

    /** The text, moved to its place in the script, so that the planner names the script's lines. */
    String inPlace() {
        return "\n".repeat(line - 1) + " ".repeat(column - 1) + text;
    }

    String firstLine() {
        return text.lines().findFirst().orElse("").trim();
    }
}
