"""Packages of a Universe: read from a directory, options checked, templates rendered, told to Marathon as apps."""
