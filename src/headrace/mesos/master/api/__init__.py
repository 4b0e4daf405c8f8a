"""The master's HTTP surface: ``routes`` answers, ``calls`` reads what is said, ``views`` shows what is known."""
