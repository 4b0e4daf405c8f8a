-- How late do flights leave New York? A year of departures, day by day and airline by airline.
--
-- The job keeps running: a file that is dropped into the directory later is taken up as well. A day's
-- figures are written when the stream has moved on to the next day, so the last day stays open.
--
--   headrace flink sql --set flights=DIR --set airlines=DIR --set results=DIR --set checkpoints=DIR flights.sql

SET 'pipeline.name' = 'flights: delays by day and airline';
SET 'execution.checkpointing.interval' = '1 s';
SET 'execution.checkpointing.dir' = 'file://${checkpoints}';
SET 'parallelism.default' = '1';

CREATE TABLE flights (
  `year` INT, `month` INT, `day` INT,
  dep_time INT, sched_dep_time INT, dep_delay INT,
  arr_time INT, sched_arr_time INT, arr_delay INT,
  carrier STRING, flight INT, tailnum STRING, origin STRING, dest STRING,
  air_time INT, distance INT, `hour` INT, `minute` INT, time_hour STRING,
  scheduled AS TO_TIMESTAMP(CONCAT_WS(' ',
    CAST(`year` AS STRING), CAST(`month` AS STRING), CAST(`day` AS STRING), CAST(`hour` AS STRING)), 'yyyy M d H'),
  WATERMARK FOR scheduled AS scheduled
) WITH (
  'connector' = 'filesystem',
  'path' = 'file://${flights}',
  'source.monitor-interval' = '2 s',
  'format' = 'csv',
  'csv.null-literal' = 'NA'
);

CREATE TABLE airlines (
  carrier STRING,
  name STRING
) WITH (
  'connector' = 'filesystem',
  'path' = 'file://${airlines}',
  'format' = 'csv'
);

CREATE TABLE delays (
  flight_day DATE,
  carrier STRING,
  airline STRING,
  flights BIGINT,         -- scheduled
  departed BIGINT,        -- not cancelled
  minutes_late BIGINT,    -- summed over the departed; early ones count below zero
  late BIGINT             -- left more than a quarter of an hour late
) WITH (
  'connector' = 'filesystem',
  'path' = 'file://${results}',
  'format' = 'json',
  'sink.rolling-policy.rollover-interval' = '500 ms',
  'sink.rolling-policy.check-interval' = '250 ms'
);

INSERT INTO delays
SELECT CAST(d.window_start AS DATE), d.carrier, a.name, d.flights, d.departed, d.minutes_late, d.late
FROM (
  SELECT
    window_start,
    carrier,
    COUNT(*) AS flights,
    COUNT(dep_delay) AS departed,
    COALESCE(SUM(dep_delay), 0) AS minutes_late,
    COUNT(*) FILTER (WHERE dep_delay > 15) AS late
  FROM TABLE(TUMBLE(TABLE flights, DESCRIPTOR(scheduled), INTERVAL '1' DAY))
  GROUP BY window_start, window_end, carrier
) AS d
JOIN airlines AS a ON d.carrier = a.carrier;
