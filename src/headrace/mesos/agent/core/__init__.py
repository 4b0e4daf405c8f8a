"""What the agent decides: one event and the time in, effects out. Pure.

``agent`` hands each event to whom it concerns; ``containers`` is what it asks of whoever runs them.
"""
