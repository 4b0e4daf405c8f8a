"""The agent's command line; ``agent`` reads it, the other modules know the flags of one subject each."""
