"""High-level synthesis: a program as a project of hls4ml for a vendor's tool, equal to it bit for bit."""

from fpga.hls.abstract import AbstractProject
from fpga.hls.backends import BACKENDS, Backend
from fpga.hls.project import Comparison, Project, lower
from fpga.hls.qonnx import ImportedProject, from_qonnx
from fpga.hls.reports import read_reports

__all__ = [
    "BACKENDS",
    "AbstractProject",
    "Backend",
    "Comparison",
    "ImportedProject",
    "Project",
    "from_qonnx",
    "lower",
    "read_reports",
]
