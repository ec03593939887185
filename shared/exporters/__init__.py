"""Nets as files of other tools."""
