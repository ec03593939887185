"""Circuits as plain data: gates, ansaetze, encodings, readouts, and exact rewriting."""
