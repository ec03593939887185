"""Circuits from and to the other frameworks: what comes in goes out as the same kind."""
