"""Marathon's REST API: /v2/*, the event stream, and the small pages around them."""
