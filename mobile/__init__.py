"""Compressed nets on processors: an integer program becomes a C library that computes the same integers, faster."""
