"""Inputs from the field and their right answers: `python -m benchmarks.cases --cases DIR` says which come out right."""
