package org.headrace.flink;

import java.util.List;
import java.util.stream.Collectors;

/** The splitter's cases: script in, statements out. */
public final class SqlScriptTest {

    private SqlScriptTest() {}

    public static void main(String[] args) throws Exception {
        separators();
        quotes();
        comments();
        statementSets();
        kinds();
        places();
        errors();
        settings();
    }

    private static void separators() throws Exception {
        splits("");
        splits(" ; \n;");
        splits("SELECT 1", "SELECT 1");
        splits("USE a;USE b;\n USE c ;", "USE a", "USE b", "USE c");
        splits("\uFEFFUSE a;", "USE a");
    }

    private static void quotes() throws Exception {
        splits("SELECT 'a;b'; USE c", "SELECT 'a;b'", "USE c");
        splits("SELECT 'it''s; so'; USE c", "SELECT 'it''s; so'", "USE c");
        splits("SELECT 'a\\'; USE c", "SELECT 'a\\'", "USE c");
        splits("SELECT E'a\\';b'; USE c", "SELECT E'a\\';b'", "USE c");
        splits("SELECT ';' AS size; USE c", "SELECT ';' AS size", "USE c");
        splits("SELECT `a;``b`; USE c", "SELECT `a;``b`", "USE c");
        splits("SELECT '-- no comment'; USE c", "SELECT '-- no comment'", "USE c");
        splits("SELECT 'multi\nline;'; USE c", "SELECT 'multi\nline;'", "USE c");
    }

    private static void comments() throws Exception {
        splits("-- it's; a comment\nUSE a; -- more;\nUSE b; -- end", "USE a", "USE b");
        splits("/* it's; a\n comment */ USE a; USE /* ; */ b", "USE a", "USE /* ; */ b");
        splits("SELECT a /*+ OPTIONS('k'=';') */;USE b", "SELECT a /*+ OPTIONS('k'=';') */", "USE b");
        splits("USE a // it's\n; USE b", "USE a // it's", "USE b");
        splits("SELECT 4 - 2 / 1; USE b", "SELECT 4 - 2 / 1", "USE b");
    }

    private static void statementSets() throws Exception {
        String set =
                "EXECUTE STATEMENT SET BEGIN\n"
                        + "INSERT INTO a SELECT CASE WHEN x THEN ';' END;\n"
                        + "INSERT INTO `END` SELECT 1; -- END;\n"
                        + "END";
        splits(set + "; USE b;", set, "USE b");
        splits("USE a; " + set, "USE a", set);
        List<SqlStatement> parts = SqlScript.split("USE c;\n" + set).get(1).parts;
        equal(2, parts.size());
        equal("INSERT INTO a SELECT CASE WHEN x THEN ';' END", parts.get(0).text);
        equal(2, parts.get(1).number);
        equal(4, parts.get(1).line);

        String begin = "begin statement set; INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; end";
        splits(begin + ";USE c", begin, "USE c");
        equal(2, SqlScript.split(begin).get(0).parts.size());
        equal(SqlStatement.Kind.STATEMENT_SET, SqlScript.split(begin).get(0).kind);
    }

    private static void kinds() throws Exception {
        kind(SqlStatement.Kind.INSERT, "insert into a select 1");
        kind(SqlStatement.Kind.INSERT, "EXECUTE INSERT INTO a SELECT 1");
        kind(SqlStatement.Kind.INSERT, "/* x */ INSERT OVERWRITE a SELECT 1");
        kind(SqlStatement.Kind.INSERT, "CREATE TABLE a WITH ('k'='v') AS SELECT 1");
        kind(SqlStatement.Kind.INSERT, "CREATE OR REPLACE TABLE a AS SELECT 1");
        kind(SqlStatement.Kind.OTHER, "CREATE TABLE a (b AS c + 1)");
        kind(SqlStatement.Kind.OTHER, "CREATE TEMPORARY VIEW a AS SELECT 1");
        kind(SqlStatement.Kind.OTHER, "CREATE FUNCTION a AS 'table'");
        kind(SqlStatement.Kind.OTHER, "EXPLAIN PLAN FOR SELECT 1");
        kind(SqlStatement.Kind.QUERY, "SELECT 1");
        kind(SqlStatement.Kind.QUERY, "WITH a AS (SELECT 1) SELECT * FROM a");
        kind(SqlStatement.Kind.QUERY, "(SELECT 1)");
        kind(SqlStatement.Kind.SET, "SET 'a' = 'b'");
        kind(SqlStatement.Kind.RESET, "RESET 'a'");
        kind(SqlStatement.Kind.JOB, "DELETE FROM a");
        kind(SqlStatement.Kind.JOB, "COMPILE AND EXECUTE PLAN 'a' FOR INSERT INTO b SELECT 1");
    }

    private static void places() throws Exception {
        SqlStatement statement = SqlScript.split("-- one\nUSE a;\n\n  USE\nb;").get(1);
        equal(2, statement.number);
        equal(4, statement.line);
        equal(3, statement.column);
        equal("USE", statement.firstLine());
        equal("\n\n\n  USE\nb", statement.inPlace());
    }

    private static void errors() {
        fails("USE a;\nSELECT 'a;", "The text literal that begins at line 2 has no end.");
        fails("SELECT `a;", "The quoted name that begins at line 1 has no end.");
        fails("\n\n/* a", "The comment that begins at line 3 has no end.");
        fails("SELECT E'a\\", "The text literal that begins at line 1 has no end.");
        fails(
                "\nEXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;",
                "The statement set that begins at line 2 has no END;");
    }

    private static void settings() throws Exception {
        SqlSetting setting = setting("SET -- it's\n 'a' /* x */ = 'it''s -- b'");
        equal("a", setting.key);
        equal("it's -- b", setting.value);
        equal(null, setting("SET").key);
        equal("a.b", setting("reset 'a.b'").key);
        equal(null, setting("RESET").key);
        try {
            setting("SET a = b");
        } catch (SqlScriptException e) {
            equal("expected SET 'key' = 'value'", e.getMessage());
            return;
        }
        throw new AssertionError("no exception");
    }

    private static SqlSetting setting(String text) throws Exception {
        return SqlSetting.parse(SqlScript.split(text).get(0));
    }

    private static void splits(String script, String... expected) throws Exception {
        equal(
                List.of(expected),
                SqlScript.split(script).stream().map(s -> s.text).collect(Collectors.toList()));
    }

    private static void kind(SqlStatement.Kind expected, String text) throws Exception {
        equal(expected, SqlScript.split(text).get(0).kind);
    }

    private static void fails(String script, String message) {
        try {
            SqlScript.split(script);
        } catch (SqlScriptException e) {
            equal(message, e.getMessage());
            return;
        }
        throw new AssertionError("no exception for " + script);
    }

    private static void equal(Object expected, Object actual) {
        if (expected == null ? actual != null : !expected.equals(actual)) {
            throw new AssertionError("expected <" + expected + "> but was <" + actual + ">");
        }
    }
}
