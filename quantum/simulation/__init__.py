"""Exact simulation of circuits without noise, with derivatives."""
