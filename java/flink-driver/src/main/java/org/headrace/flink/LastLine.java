package org.headrace.flink;

import java.io.PrintStream;

/**
 * Standard output that remembers its last line: where a Python program has failed, Flink prints what
 * it wrote there, and its last line says why.
 *
 * <p>Lines that are indented belong to a stack trace.
 */
final class LastLine extends PrintStream {

    private volatile String line = "";

    LastLine(PrintStream out) {
        super(out, true);
    }

    @Override
    public void println(String text) {
        if (text != null && !text.isBlank() && !Character.isWhitespace(text.charAt(0))) {
            line = text.trim();
        }
        super.println(text);
    }

    String get() {
        return line;
    }
}
