"""The service orchestrator: Marathon's REST API and semantics on any Mesos v1 HTTP master."""
