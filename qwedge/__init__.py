"""The face of Qwedge: the command line and the catalogue of experiments. Loads no framework."""

from qwedge.catalogue import EXPERIMENTS, Entry, load

__all__ = ["EXPERIMENTS", "Entry", "load"]
