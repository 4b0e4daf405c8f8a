"""Sandboxes on the disk: laid out, filled by the fetcher, measured, rotated, shown and removed."""
