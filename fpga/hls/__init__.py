"""High-level synthesis: an integer program as a project of hls4ml for a vendor's tool, equal to it bit for bit."""

from fpga.hls.backends import BACKENDS, Backend
from fpga.hls.project import Comparison, Project, lower
from fpga.hls.reports import read_reports

__all__ = ["BACKENDS", "Backend", "Comparison", "Project", "lower", "read_reports"]
