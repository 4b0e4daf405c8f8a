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

    private ProgramMain() {}

    public static void main(String[] args) throws Throwable {
        try {
            Class.forName(args[0], true, Thread.currentThread().getContextClassLoader())
                    .getMethod("main", String[].class)
                    .invoke(null, (Object) Arrays.copyOfRange(args, 1, args.length));
        } catch (InvocationTargetException e) {
            System.err.println(JobMistake.line(PlannerMessage.of(e.getTargetException())));
            throw e.getTargetException();
        }
    }
}
