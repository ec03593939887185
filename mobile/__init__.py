"""Compressed nets on processors: integer programs and float nets become C libraries that compute the same."""
