package org.headrace.flink;

import java.lang.reflect.InvocationTargetException;
import java.util.Arrays;

/**
 * Runs the main method of a job cluster's program, and says on standard error why it failed, because
 * Flink's own word of that ends with the JobManager.
 *
 * <p>Arguments: the main class, then its own arguments.
 */
public final class ProgramMain {

    /** Flink's own, which starts Python and prints what that says. */
    private static final String PYTHON = "org.apache.flink.client.python.PythonDriver";

    private ProgramMain() {}

    public static void main(String[] args) throws Throwable {
        LastLine out = new LastLine(System.out);
        System.setOut(out);
        try {
            Class.forName(args[0], true, Thread.currentThread().getContextClassLoader())
                    .getMethod("main", String[].class)
                    .invoke(null, (Object) Arrays.copyOfRange(args, 1, args.length));
        } catch (InvocationTargetException e) {
            Throwable error = reason(args[0], e.getTargetException(), out.get());
            System.err.println(JobMistake.line(PlannerMessage.of(error)));
            throw error;
        }
    }

    /** Of a Python program that has failed by itself Flink knows only that; it is an Error there. */
    private static Throwable reason(String program, Throwable error, String said) {
        return program.equals(PYTHON) && error instanceof Error && !said.isEmpty()
                ? new IllegalStateException("The Python program has failed: " + said)
                : error;
    }
}
