"""Sessions: commands that run in the containers of tasks and executors, their input and output being connections'.

``session`` is one of them, whoever runs it; ``sessions`` runs them as processes of this machine.
"""
