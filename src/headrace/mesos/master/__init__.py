"""The Mesos master: knows frameworks, agents and tasks; offers resources; passes on launches and updates."""
