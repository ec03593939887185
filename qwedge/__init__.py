"""The command line and the catalogue of experiments. Importing it loads no framework."""

from qwedge.catalogue import EXPERIMENTS, Entry, load

__all__ = ["EXPERIMENTS", "Entry", "load"]
