package org.headrace.flink;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;

/**
 * The main class of a Flink job that is written in SQL.
 *
 * <p>Arguments: the path of a script, or {@code --script-base64} and the script itself.
 */
public final class SqlRunner {

    private static final String INLINE = "--script-base64";

    private SqlRunner() {}

    public static void main(String[] args) throws SqlScriptException {
        SqlJob.run(SqlScript.split(script(args)));
    }

    private static String script(String[] args) throws SqlScriptException {
        if (args.length == 2 && args[0].equals(INLINE)) {
            try {
                return new String(Base64.getDecoder().decode(args[1]), StandardCharsets.UTF_8);
            } catch (IllegalArgumentException e) {
                throw new SqlScriptException("The script is not valid base64: " + e.getMessage(), e);
            }
        }
        if (args.length != 1) {
            throw new SqlScriptException("Arguments: SCRIPT, or " + INLINE + " TEXT");
        }
        try {
            return Files.readString(Path.of(args[0]));
        } catch (IOException e) {
            throw new SqlScriptException("The script cannot be read: " + e, e);
        }
    }
}
