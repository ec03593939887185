"""How an experiment runs: typed settings, identity by hash, append-only rows, resume, engines, pages."""

from shared.lab.compare import Difference, compare, differences_table
from shared.lab.context import Context
from shared.lab.engine import Engine, Local, Ray, load_experiment
from shared.lab.experiment import Experiment, cell_id, settings_table
from shared.lab.html import render
from shared.lab.identity import JSON, canonical, fingerprint, hash_bytes, hash_file, plain
from shared.lab.lines import Lines, write_whole
from shared.lab.page import Block, Download, Figure, KeyFigures, Number, Page, Table, Text, cite
from shared.lab.plot import COLORS, plot
from shared.lab.provenance import provenance
from shared.lab.runner import run
from shared.lab.settings import Settings, command_line, read_settings
from shared.lab.statistics import Interval, mean, paired_bootstrap, t_quantile, wilson
from shared.lab.store import Row, Store
from shared.lab.terminal import print_page, print_table

__all__ = [
    "COLORS",
    "JSON",
    "Block",
    "Context",
    "Difference",
    "Download",
    "Engine",
    "Experiment",
    "Figure",
    "Interval",
    "KeyFigures",
    "Lines",
    "Local",
    "Number",
    "Page",
    "Ray",
    "Row",
    "Settings",
    "Store",
    "Table",
    "Text",
    "canonical",
    "cell_id",
    "cite",
    "command_line",
    "compare",
    "differences_table",
    "fingerprint",
    "hash_bytes",
    "hash_file",
    "load_experiment",
    "mean",
    "paired_bootstrap",
    "plain",
    "plot",
    "print_page",
    "print_table",
    "provenance",
    "read_settings",
    "render",
    "run",
    "settings_table",
    "t_quantile",
    "wilson",
    "write_whole",
]
