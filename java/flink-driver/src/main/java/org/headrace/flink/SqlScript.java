package org.headrace.flink;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;

/**
 * Splits a script into its statements.
 *
 * <p>A semicolon ends a statement unless it stands in a literal, a quoted identifier, a comment or a
 * statement set. Comments stay in the text: a hint looks like one. What the words mean is left to
 * Flink, except for the few that decide how a statement is run.
 */
final class SqlScript {

    /** A stretch of the script that becomes a statement, with its words outside parentheses. */
    private static final class Piece {
        int start = -1;
        int depth;
        final List<String> words = new ArrayList<>();

        boolean isEmpty() {
            return start < 0;
        }

        boolean startsWith(String... expected) {
            return words.size() >= expected.length
                    && words.subList(0, expected.length).equals(List.of(expected));
        }

        boolean endsWith(String... expected) {
            int size = words.size();
            return size >= expected.length
                    && words.subList(size - expected.length, size).equals(List.of(expected));
        }
    }

    private final String text;
    private final List<SqlStatement> statements = new ArrayList<>();
    private int at;

    private Piece piece = new Piece();
    /** The statement of a statement set that is being read; null outside one. */
    private Piece inner;

    private List<SqlStatement> parts = new ArrayList<>();

    private SqlScript(String text) {
        this.text = text;
    }

    static List<SqlStatement> split(String text) throws SqlScriptException {
        SqlScript script = new SqlScript(text);
        while (script.at < text.length()) {
            script.step();
        }
        script.end();
        return script.statements;
    }

    private void step() throws SqlScriptException {
        char c = text.charAt(at);
        if (text.startsWith("--", at) || text.startsWith("//", at)) {
            skipLine();
        } else if (text.startsWith("/*", at)) {
            skipComment();
        } else if (c == '\'' || c == '`') {
            begin();
            skipQuoted(c, false);
        } else if (c == ';') {
            semicolon();
        } else if (isWordPart(c)) {
            begin();
            word();
        } else {
            symbol(c);
        }
    }

    /** Marks the first character of a statement. */
    private void begin() {
        if (piece.isEmpty()) {
            piece.start = at;
        }
        if (inner != null && inner.isEmpty()) {
            inner.start = at;
        }
    }

    private void symbol(char c) {
        if (!Character.isWhitespace(c) && c != '\uFEFF') {
            begin();
        }
        int change = c == '(' ? 1 : c == ')' ? -1 : 0;
        piece.depth += change;
        if (inner != null) {
            inner.depth += change;
        }
        at++;
    }

    private void word() throws SqlScriptException {
        int start = at;
        while (at < text.length() && isWordPart(text.charAt(at))) {
            at++;
        }
        String word = text.substring(start, at).toUpperCase(Locale.ROOT);
        if (word.equals("E") && at < text.length() && text.charAt(at) == '\'') {
            skipQuoted('\'', true);
            return;
        }
        Piece target = inner == null ? piece : inner;
        if (target.depth <= 0) {
            target.words.add(word);
        }
        if (inner == null && piece.endsWith("STATEMENT", "SET", "BEGIN")) {
            inner = new Piece();
        }
    }

    private void semicolon() {
        if (inner != null) {
            if (inner.words.equals(List.of("END"))) {
                finish();
            } else {
                finishPart();
            }
        } else if (piece.words.equals(List.of("BEGIN", "STATEMENT", "SET"))) {
            inner = new Piece();
        } else {
            finish();
        }
        at++;
    }

    private void end() throws SqlScriptException {
        if (inner != null && !inner.words.equals(List.of("END"))) {
            throw new SqlScriptException(
                    "The statement set that begins at line " + line(piece.start) + " has no END;");
        }
        finish();
    }

    private void finishPart() {
        if (!inner.isEmpty()) {
            int number = statements.size() + 1;
            parts.add(statement(inner, SqlStatement.Kind.INSERT, number, Collections.emptyList()));
        }
        inner = new Piece();
    }

    private void finish() {
        if (!piece.isEmpty()) {
            statements.add(statement(piece, kind(piece), statements.size() + 1, parts));
        }
        piece = new Piece();
        inner = null;
        parts = new ArrayList<>();
    }

    private SqlStatement statement(
            Piece piece, SqlStatement.Kind kind, int number, List<SqlStatement> parts) {
        String statement = text.substring(piece.start, at).stripTrailing();
        return new SqlStatement(
                kind, number, line(piece.start), column(piece.start), statement, parts);
    }

    private static SqlStatement.Kind kind(Piece piece) {
        if (piece.startsWith("EXECUTE", "STATEMENT", "SET")
                || piece.startsWith("BEGIN", "STATEMENT", "SET")) {
            return SqlStatement.Kind.STATEMENT_SET;
        }
        if (piece.startsWith("EXECUTE", "INSERT") || createsFromQuery(piece)) {
            return SqlStatement.Kind.INSERT;
        }
        switch (piece.words.isEmpty() ? "" : piece.words.get(0)) {
            case "INSERT":
                return SqlStatement.Kind.INSERT;
            case "SET":
                return SqlStatement.Kind.SET;
            case "RESET":
                return SqlStatement.Kind.RESET;
            case "SELECT":
            case "WITH":
            case "VALUES":
            case "":
                return SqlStatement.Kind.QUERY;
            case "EXECUTE":
            case "COMPILE":
            case "DELETE":
            case "UPDATE":
            case "CALL":
                return SqlStatement.Kind.JOB;
            default:
                return SqlStatement.Kind.OTHER;
        }
    }

    /** Whether this is CREATE TABLE … AS SELECT or one of its relatives. */
    private static boolean createsFromQuery(Piece piece) {
        int as = piece.words.indexOf("AS");
        return (piece.startsWith("CREATE") || piece.startsWith("REPLACE"))
                && as > 0
                && piece.words.subList(0, Math.min(4, as)).contains("TABLE");
    }

    private void skipLine() {
        int end = text.indexOf('\n', at);
        at = end < 0 ? text.length() : end;
    }

    private void skipComment() throws SqlScriptException {
        int end = text.indexOf("*/", at + 2);
        if (end < 0) {
            throw new SqlScriptException(
                    "The comment that begins at line " + line(at) + " has no end.");
        }
        at = end + 2;
    }

    /** Skips a literal or identifier; a doubled quote is two literals to us, which ends alike. */
    private void skipQuoted(char quote, boolean backslash) throws SqlScriptException {
        int start = at++;
        while (at < text.length() && text.charAt(at) != quote) {
            at += backslash && text.charAt(at) == '\\' ? 2 : 1;
        }
        if (at >= text.length()) {
            String what = quote == '`' ? "quoted name" : "text literal";
            throw new SqlScriptException(
                    "The " + what + " that begins at line " + line(start) + " has no end.");
        }
        at++;
    }

    private static boolean isWordPart(char c) {
        return Character.isLetterOrDigit(c) || c == '_' || c == '$';
    }

    private int line(int position) {
        return 1 + (int) text.substring(0, position).chars().filter(c -> c == '\n').count();
    }

    private int column(int position) {
        return position - text.lastIndexOf('\n', position - 1);
    }
}
