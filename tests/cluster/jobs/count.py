# mypy: ignore-errors
"""A PyFlink job that writes the numbers up to an argument into a directory; with a third argument it fails."""

import sys

from pyflink.table import EnvironmentSettings, TableEnvironment

tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
tables.execute_sql(
    "CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000', "
    f"'fields.n.kind' = 'sequence', 'fields.n.start' = '0', 'fields.n.end' = '{sys.argv[2]}')"
)
tables.execute_sql(
    f"CREATE TABLE written (n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{sys.argv[1]}', 'format' = 'csv')"
)
if sys.argv[3:]:
    raise ValueError(f"there is no {sys.argv[3]}")
tables.from_path("numbers").execute_insert("written")
