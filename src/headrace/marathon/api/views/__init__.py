"""What GET requests show: pure functions from the core's books to answers."""
