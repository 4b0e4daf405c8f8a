import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

import java.io.File;
import java.io.FileOutputStream;
import java.io.ObjectOutputStream;

/**
 * Counts to a number, and fails at another. Arguments: LAST [FAIL_AT [PLACE]]. The place is a file to write the job graph
 * to, or a directory where the subtasks meet: none counts before all run.
 */
public final class Count {

    private static final int SUBTASKS = 2;

    public static final class Step implements MapFunction<Long, Long> {
        private final long failAt;
        private File toMeet;

        Step(long failAt, File toMeet) {
            this.failAt = failAt;
            this.toMeet = toMeet;
        }

        @Override
        public Long map(Long number) throws Exception {
            if (toMeet != null) {
                File.createTempFile("subtask", "", toMeet);
                while (toMeet.list().length < SUBTASKS) {
                    Thread.sleep(20);
                }
                toMeet = null;
            }
            if (number == failAt) {
                throw new IllegalStateException("number " + number + " is unlucky");
            }
            return number;
        }
    }

    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.getExecutionEnvironment();
        environment.setParallelism(SUBTASKS);
        File place = args.length < 3 ? null : new File(args[2]);
        File toMeet = place != null && place.isDirectory() ? place : null;
        environment
                .fromSequence(1, Long.parseLong(args[0]))
                .map(new Step(args.length > 1 ? Long.parseLong(args[1]) : -1, toMeet))
                .sinkTo(new DiscardingSink<>());
        if (place == null || toMeet != null) {
            environment.execute("count");
            return;
        }
        try (ObjectOutputStream out = new ObjectOutputStream(new FileOutputStream(place))) {
            out.writeObject(environment.getStreamGraph().getJobGraph());
        }
    }
}
