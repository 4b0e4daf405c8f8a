"""What the master decides: one event and the time in, effects out. Pure.

``master`` hands each event to whom it concerns; the other modules are named after their subjects and share ``books``.
"""
