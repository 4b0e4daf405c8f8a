package org.headrace.flink;

/** Which message of a chain a person gets to see. */
public final class PlannerMessageTest {

    private PlannerMessageTest() {}

    public static void main(String[] args) {
        Exception root = new SqlScriptException("Column 'x' not found");
        is("Column 'x' not found", root);
        is("Column 'x' not found", new Exception("Planning failed", root));
        is("Column 'x' not found", new Exception(root));
        is("Exception", new Exception((String) null));

        Exception place = new Exception("At line 2: Column 'x' not found", root);
        is(
                "At line 2: Column 'x' not found",
                new Exception("SQL validation failed. SQL validation failed. " + place.getMessage(), place));

        is(
                "Encountered \"x\" at line 1, column 2.",
                new Exception("Encountered \"x\" at line 1, column 2.\nWas expecting one of:\n    \"SET\" ..."));
        is(
                "Could not parse 'x' for key 'k'. For input string: \"x\"",
                new Exception(
                        "Could not parse 'x' for key 'k'.",
                        new NumberFormatException("For input string: \"x\"")));
    }

    private static void is(String expected, Exception error) {
        String actual = PlannerMessage.of(error);
        if (!expected.equals(actual)) {
            throw new AssertionError("expected <" + expected + "> but was <" + actual + ">");
        }
    }
}
