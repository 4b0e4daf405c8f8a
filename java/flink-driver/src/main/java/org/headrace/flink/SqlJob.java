package org.headrace.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.table.api.TableEnvironment;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Runs the statements of a script as one Flink job.
 *
 * <p>Everything but the INSERTs is executed in order. The INSERTs, in statement sets or not, are
 * gathered, each checked against the tables at its place, and start together at the end.
 */
final class SqlJob {

    private static final String DEFAULT_NAME = "sql";

    private interface Step {
        void run() throws Exception;
    }

    private final List<SqlStatement> statements;
    private final TableEnvironment tables;
    private final StatementSet job;
    private final List<SqlStatement> inserts = new ArrayList<>();
    private final Set<String> settings = new LinkedHashSet<>();

    private SqlJob(List<SqlStatement> statements) throws SqlScriptException {
        this.statements = statements;
        this.tables = TableEnvironment.create(environment(statements));
        this.job = tables.createStatementSet();
    }

    static void run(List<SqlStatement> statements) throws SqlScriptException {
        check(statements);
        SqlJob job = new SqlJob(statements);
        job.prepare();
        job.start();
    }

    /** Finds what is wrong with the script as a whole, before any of it is executed. */
    private static void check(List<SqlStatement> statements) throws SqlScriptException {
        boolean hasInsert = false;
        SqlStatement own = null;
        for (SqlStatement statement : statements) {
            switch (statement.kind) {
                case QUERY:
                    throw failure(
                            statement, "a query has no table to write to: use INSERT INTO", null);
                case INSERT:
                    hasInsert = true;
                    break;
                case STATEMENT_SET:
                    hasInsert |= !statement.parts.isEmpty();
                    break;
                case JOB:
                    own = statement;
                    break;
                default:
                    break;
            }
        }
        if (!hasInsert && own == null) {
            throw new SqlScriptException(
                    "The script has no INSERT statement, so there is no job to run" + last(statements));
        }
        if (hasInsert && own != null) {
            throw failure(own, "this starts a job of its own, and a script is one job", null);
        }
    }

    /** A misspelt INSERT is not seen as one, so the last statement is shown. */
    private static String last(List<SqlStatement> statements) {
        if (statements.isEmpty()) {
            return ": it is empty.";
        }
        SqlStatement last = statements.get(statements.size() - 1);
        return ". Its last statement, at line " + last.line + ", is: " + last.firstLine();
    }

    /** The mode must be known when the environment is made; a SET anywhere in the script decides. */
    private static EnvironmentSettings environment(List<SqlStatement> statements)
            throws SqlScriptException {
        Configuration configuration = new Configuration();
        for (SqlStatement statement : statements) {
            if (statement.kind == SqlStatement.Kind.SET) {
                SqlSetting setting = setting(statement);
                if (ExecutionOptions.RUNTIME_MODE.key().equals(setting.key)) {
                    configuration.setString(setting.key, setting.value);
                    try {
                        configuration.get(ExecutionOptions.RUNTIME_MODE);
                    } catch (IllegalArgumentException e) {
                        throw failure(statement, PlannerMessage.of(e), e);
                    }
                }
            }
        }
        EnvironmentSettings.Builder builder = EnvironmentSettings.newInstance();
        // Flink's default is streaming as well, but the cluster's configuration may say otherwise.
        return configuration.contains(ExecutionOptions.RUNTIME_MODE)
                ? builder.withConfiguration(configuration).build()
                : builder.inStreamingMode().build();
    }

    private void prepare() throws SqlScriptException {
        for (SqlStatement statement : statements) {
            switch (statement.kind) {
                case SET:
                case RESET:
                    configure(statement);
                    break;
                case INSERT:
                    insert(statement);
                    break;
                case STATEMENT_SET:
                    for (SqlStatement part : statement.parts) {
                        insert(part);
                    }
                    break;
                case JOB:
                    nameJob();
                    attempt(statement, () -> tables.executeSql(statement.inPlace()));
                    break;
                default:
                    attempt(statement, () -> tables.executeSql(statement.inPlace()));
                    break;
            }
        }
    }

    private void insert(SqlStatement statement) throws SqlScriptException {
        attempt(statement, () -> job.addInsertSql(statement.inPlace()));
        inserts.add(statement);
    }

    private void configure(SqlStatement statement) throws SqlScriptException {
        SqlSetting setting = setting(statement);
        if (statement.kind == SqlStatement.Kind.RESET) {
            reset(setting.key);
        } else if (setting.key != null) {
            attempt(statement, () -> tables.getConfig().set(setting.key, setting.value));
            settings.add(setting.key);
        }
    }

    private void reset(String key) {
        Set<String> keys = key == null ? new LinkedHashSet<>(settings) : Set.of(key);
        for (String old : keys) {
            // The mode stays: it belongs to the environment for good.
            if (!old.equals(ExecutionOptions.RUNTIME_MODE.key())) {
                tables.getConfig().getConfiguration().removeKey(old);
            }
            settings.remove(old);
        }
    }

    private void start() throws SqlScriptException {
        if (inserts.isEmpty()) {
            return;
        }
        nameJob();
        try {
            job.execute();
        } catch (Exception e) {
            blame();
            String numbers =
                    inserts.stream()
                            .map(insert -> Integer.toString(insert.number))
                            .distinct()
                            .collect(Collectors.joining(", "));
            throw new SqlScriptException(
                    "Statements " + numbers + " could not start: " + PlannerMessage.of(e), e);
        }
    }

    /** Plans each INSERT alone to find the one that the planner does not take. */
    private void blame() throws SqlScriptException {
        for (SqlStatement insert : inserts) {
            StatementSet alone = tables.createStatementSet();
            attempt(insert, () -> alone.addInsertSql(insert.inPlace()).explain());
        }
    }

    private void nameJob() {
        if (tables.getConfig().getOptional(PipelineOptions.NAME).isEmpty()) {
            tables.getConfig().set(PipelineOptions.NAME, DEFAULT_NAME);
        }
    }

    private static SqlSetting setting(SqlStatement statement) throws SqlScriptException {
        try {
            return SqlSetting.parse(statement);
        } catch (SqlScriptException e) {
            throw failure(statement, e.getMessage(), e);
        }
    }

    private static void attempt(SqlStatement statement, Step step) throws SqlScriptException {
        try {
            step.run();
        } catch (Exception e) {
            throw failure(statement, PlannerMessage.of(e), e);
        }
    }

    private static SqlScriptException failure(
            SqlStatement statement, String message, Throwable cause) {
        return new SqlScriptException(
                String.format(
                        "Statement %d at line %d failed: %s%n  %s",
                        statement.number, statement.line, statement.firstLine(), message),
                cause);
    }
}
