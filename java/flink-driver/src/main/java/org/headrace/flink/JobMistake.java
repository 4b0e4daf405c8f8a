package org.headrace.flink;

/** What the user has to put right before there can be a job; its message says it. */
final class JobMistake extends Exception {

    private static final long serialVersionUID = 1L;

    /** The JVM's exit status for it, by which the application master knows not to try again. */
    static final int EXIT_STATUS = 20;

    /** Begins the line on standard error that says what is wrong. */
    private static final String MARK = "headrace: ";

    JobMistake(String message, Throwable cause) {
        super(message, cause);
    }

    /** A message for the application master, in the one line that it looks for. */
    static String line(String message) {
        return MARK + message.replaceAll("\\s*\\R\\s*", " ");
    }

    /** Says it and ends the JVM. */
    void exit() {
        System.err.println(line(getMessage()));
        System.exit(EXIT_STATUS);
    }
}
