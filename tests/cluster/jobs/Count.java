import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

import java.io.FileOutputStream;
import java.io.ObjectOutputStream;

/** Counts to a number, and fails at another. Arguments: LAST [FAIL_AT [FILE to write the job graph to]]. */
public final class Count {

    public static final class Step implements MapFunction<Long, Long> {
        private final long failAt;

        Step(long failAt) {
            this.failAt = failAt;
        }

        @Override
        public Long map(Long number) {
            if (number == failAt) {
                throw new IllegalStateException("number " + number + " is unlucky");
            }
            return number;
        }
    }

    public static void main(String[] args) throws Exception {
        StreamExecutionEnvironment environment =
                StreamExecutionEnvironment.getExecutionEnvironment();
        environment.setParallelism(2);
        environment
                .fromSequence(1, Long.parseLong(args[0]))
                .map(new Step(args.length > 1 ? Long.parseLong(args[1]) : -1))
                .sinkTo(new DiscardingSink<>());
        if (args.length < 3) {
            environment.execute("count");
            return;
        }
        try (ObjectOutputStream out = new ObjectOutputStream(new FileOutputStream(args[2]))) {
            out.writeObject(environment.getStreamGraph().getJobGraph());
        }
    }
}
