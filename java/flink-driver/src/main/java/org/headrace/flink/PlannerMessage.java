package org.headrace.flink;

import java.util.regex.Pattern;

/** Finds the one message in a chain of exceptions that tells a person what is wrong. */
final class PlannerMessage {

    private static final int LIMIT = 2_000;

    /** Each layer of the planner puts this in front. */
    private static final Pattern REPEATED = Pattern.compile("^(SQL validation failed\\. )+");

    private PlannerMessage() {}

    /**
     * The root cause's message, or that of the outermost exception that quotes it: the planner wraps
     * its messages in others that add the line and column.
     */
    static String of(Throwable error) {
        Throwable cause = error.getCause();
        if (cause == null || cause == error) {
            return own(error);
        }
        String inner = of(cause);
        String outer = error.getMessage();
        // Without a message of its own an exception repeats its cause, class name and all.
        if (outer == null || outer.equals(cause.toString())) {
            return inner;
        }
        if (outer.contains(inner)) {
            return shorten(outer);
        }
        return tooTechnical(cause) ? shorten(outer + " " + inner) : inner;
    }

    /** A root cause from Java itself ("For input string: …") does not say what it is about. */
    private static boolean tooTechnical(Throwable error) {
        return error.getCause() == null && error.getClass().getName().startsWith("java.");
    }

    private static String own(Throwable error) {
        String message = error.getMessage();
        String name = error.getClass().getSimpleName();
        return message == null || message.isBlank() ? name : shorten(message);
    }

    /** Leaves out the parser's list of everything that it would have taken, often 400 lines. */
    private static String shorten(String message) {
        int expected = message.indexOf("\nWas expecting one of:");
        String shorter = expected < 0 ? message : message.substring(0, expected);
        shorter = REPEATED.matcher(shorter).replaceFirst("");
        return shorter.length() > LIMIT ? shorter.substring(0, LIMIT) + " …" : shorter.trim();
    }
}
