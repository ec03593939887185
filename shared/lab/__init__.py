"""How an experiment runs: typed settings, identity by hash, append-only rows, resume, engines, pages."""

from shared.lab.pages.compare import Difference, compare, differences_table
from shared.lab.pages.html import render
from shared.lab.pages.page import (
    Block,
    Download,
    Figure,
    KeyFigures,
    Number,
    Page,
    Table,
    Text,
    cite,
    cite_mean,
    downloads,
    equal_settings,
)
from shared.lab.pages.plot import COLORS, legend_below, plot
from shared.lab.pages.terminal import print_page, print_table
from shared.lab.pages.verdict import Comparison, Standing, compared, standing, verdict
from shared.lab.records.cache import cache_folder
from shared.lab.records.identity import JSON, canonical, fingerprint, hash_bytes, hash_file, to_json_data
from shared.lab.records.json_log import JsonLog, write_atomic
from shared.lab.records.os_errors import os_error_text
from shared.lab.records.printable import printable
from shared.lab.records.provenance import provenance
from shared.lab.records.settings import Seeded, Settings, command_line, read_settings
from shared.lab.records.statistics import (
    Estimate,
    Interval,
    mean,
    mean_over_seeds,
    paired_bootstrap,
    t_quantile,
    wilson,
)
from shared.lab.records.store import Row, Store
from shared.lab.running.cluster import Ray
from shared.lab.running.context import Context, Progress
from shared.lab.running.engine import Engine, Local, load_experiment
from shared.lab.running.experiment import Experiment, cell_id, settings_table
from shared.lab.running.processes import Processes
from shared.lab.running.runner import run
from shared.lab.running.threads import one_thread

__all__ = [
    "COLORS",
    "JSON",
    "Block",
    "Comparison",
    "Context",
    "Difference",
    "Download",
    "Engine",
    "Estimate",
    "Experiment",
    "Figure",
    "Interval",
    "JsonLog",
    "KeyFigures",
    "Local",
    "Number",
    "Page",
    "Processes",
    "Progress",
    "Ray",
    "Row",
    "Seeded",
    "Settings",
    "Standing",
    "Store",
    "Table",
    "Text",
    "cache_folder",
    "canonical",
    "cell_id",
    "cite",
    "cite_mean",
    "command_line",
    "compare",
    "compared",
    "differences_table",
    "downloads",
    "equal_settings",
    "fingerprint",
    "hash_bytes",
    "hash_file",
    "legend_below",
    "load_experiment",
    "mean",
    "mean_over_seeds",
    "one_thread",
    "os_error_text",
    "paired_bootstrap",
    "plot",
    "print_page",
    "print_table",
    "printable",
    "provenance",
    "read_settings",
    "render",
    "run",
    "settings_table",
    "standing",
    "t_quantile",
    "to_json_data",
    "verdict",
    "wilson",
    "write_atomic",
]
