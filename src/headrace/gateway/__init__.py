"""The front door: a page that shows the cluster, and the little API behind it."""

from headrace.gateway.app import Gateway

__all__ = ["Gateway"]
