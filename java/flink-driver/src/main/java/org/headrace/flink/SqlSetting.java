package org.headrace.flink;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A SET or RESET statement: its key and value, each null where the statement names none. */
final class SqlSetting {

    private static final String LITERAL = "'((?:[^']|'')*)'";
    private static final Pattern SET =
            Pattern.compile(
                    "SET(?:\\s+" + LITERAL + "\\s*=\\s*" + LITERAL + ")?", Pattern.CASE_INSENSITIVE);
    private static final Pattern RESET =
            Pattern.compile("RESET(?:\\s+" + LITERAL + ")?", Pattern.CASE_INSENSITIVE);
    /** A literal, which stays, or a comment. */
    private static final Pattern COMMENT =
            Pattern.compile("'(?:[^']|'')*'|--[^\\n]*|//[^\\n]*|/\\*.*?\\*/", Pattern.DOTALL);

    final String key;
    final String value;

    private SqlSetting(String key, String value) {
        this.key = key;
        this.value = value;
    }

    static SqlSetting parse(SqlStatement statement) throws SqlScriptException {
        String text = withoutComments(statement.text).trim();
        boolean set = statement.kind == SqlStatement.Kind.SET;
        Matcher matcher = (set ? SET : RESET).matcher(text);
        if (!matcher.matches()) {
            throw new SqlScriptException(
                    set ? "expected SET 'key' = 'value'" : "expected RESET or RESET 'key'");
        }
        return new SqlSetting(literal(matcher.group(1)), set ? literal(matcher.group(2)) : null);
    }

    private static String withoutComments(String text) {
        return COMMENT.matcher(text)
                .replaceAll(
                        found ->
                                text.charAt(found.start()) == '\''
                                        ? Matcher.quoteReplacement(found.group())
                                        : " ");
    }

    private static String literal(String quoted) {
        return quoted == null ? null : quoted.replace("''", "'").trim();
    }
}
