"""The agent's HTTP surface: ``routes`` answers, ``executor_api`` speaks with executors, ``views`` shows."""
