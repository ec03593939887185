"""Compilers of this machine, and compiled nets as Python callables."""
