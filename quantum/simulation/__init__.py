"""Exact simulation with derivatives."""
