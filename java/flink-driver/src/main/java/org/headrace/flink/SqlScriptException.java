package org.headrace.flink;

/** A script that cannot run; the message is for the person who wrote it. */
public final class SqlScriptException extends Exception {

    private static final long serialVersionUID = 1L;

    SqlScriptException(String message) {
        super(message);
    }

    SqlScriptException(String message, Throwable cause) {
        super(message, cause);
    }
}
