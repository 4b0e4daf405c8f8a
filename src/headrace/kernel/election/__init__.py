"""Who leads: one process of each kind decides, the others wait."""
