"""What is derived from the rows."""

import math
import statistics
from collections.abc import Sequence

import numpy as np

from benchmarks.mobile.sparse import SPARSE_FLOATS
from benchmarks.mobile.whole import FLOAT_NETS, NETS
from shared.lab import Row
from shared.lab.running.benchmark import Metric, over_seeds

DENSE_GOALS = {"efficientformer_l1": ">= 0.95"}
END_TO_END = {
    "resnet18_e2e": ("resnet18", ">= 2.5"),
    "sr_e2e": ("super_resolution", ">= 2.5"),
    "mbv2_e2e": ("mobilenet_v2", ">= 1.8"),
    "efl1_e2e": ("efficientformer_l1", ">= 2"),
    "bert_e2e": ("bert", ">= 2"),
}
"""Whole nets with a quarter of their 2 x 4 blocks; accuracy at that sparsity is not trained here."""

BESIDE = (
    ("fp32_e2e", "sparse float net", "mobilenet_v2", "ours fp32 75%", ">= 2"),
    ("fp32_e2e", "sparse float net", "resnet18", "ours fp32 75%", ">= 2.5"),
    *(
        (f"two_threads_{name}", "two threads", net, run, "")
        for net in ("mobilenet_v2", "resnet18")
        for name, run in (("dense", "ours int8"), ("e2e", "ours int8 75%"))
    ),
)
"""Figures of cells that not every set of rows has: name, part, net, our run, goal."""


def figures(rows: Sequence[Row]) -> dict[str, Metric]:
    layers = [row for row in rows if row.settings["part"] == "layer"]
    nets = [row for row in rows if row.settings["part"] == "net"]
    pairs = [pair for row in rows if row.settings["part"] == "predictor" for pair in row.result["pairs"]]
    gradients = [pair for row in rows if row.settings["part"] == "predictor" for pair in row.result["slopes"]]
    errors = [abs(guess / measured - 1) for guess, measured in pairs]
    figures = {
        f"conv{kernel}_int8_75{name}": _geomean(layers, kernel, formats, goal)
        for kernel in ("1x1", "3x3")
        for name, formats, goal in (("", ("2x4",), ">= 3.5"), ("_1x4", ("1x4",), ""), ("_dense", ("dense",), ""))
    }
    for net in NETS:
        those = [row for row in nets if row.settings["subject"] == net]
        figures[f"dense_int8_ratio_{net}"] = over_seeds(
            [_ratio(row, "ours int8", "int8") for row in those], _unit(those), ">= 0.95"
        )
        figures[f"dense_fp32_ratio_{net}"] = over_seeds(
            [_ratio(row, "ours fp32", "fp32") for row in those], _unit(those)
        )
    floats = [row for row in rows if row.settings["part"] == "float net"]
    for net in FLOAT_NETS:
        those = [row for row in floats if row.settings["subject"] == net]
        ratios = [_ratio(row, "ours fp32", "fp32") for row in those]
        figures[f"dense_fp32_ratio_{net}"] = over_seeds(ratios, _unit(those))
    integers = [row for row in rows if row.settings["part"] == "int8 net"]
    for net in ("efficientformer_l1", "bert", "super_resolution"):
        those = [row for row in integers if row.settings["subject"] == net]
        ratios = [_ratio(row, "ours int8", "int8") for row in those]
        figures[f"dense_int8_ratio_{net}"] = over_seeds(ratios, _unit(those), DENSE_GOALS.get(net, ""))
    for name, (net, goal) in END_TO_END.items():
        those = [row for row in integers if row.settings["subject"] == net]
        figures[name] = over_seeds([_ratio(row, "ours int8 75%", "int8") for row in those], _unit(those), goal)
    for name, part, net, run, goal in BESIDE:
        those = [row for row in rows if (row.settings["part"], row.settings["subject"]) == (part, net)]
        if those:
            ratios = [_ratio(row, run, run.split()[1]) for row in those]
            figures[f"{name}_{net}"] = over_seeds(ratios, _unit(those), goal)
    for net in SPARSE_FLOATS:
        those = [row for row in rows if (row.settings["part"], row.settings["subject"]) == ("sparse float net", net)]
        times = [row.result["median_ms"] for row in those if "MNN fp32 75%" in row.result["median_ms"]]
        if times:
            ratios = [each["MNN fp32 75%"] / each["ours fp32 75%"] for each in times]
            figures[f"vs_mnn_sparse_{net}"] = over_seeds(ratios, "x", ">= 1.5")
    predicted = [row for row in rows if row.settings["part"] == "predictor"]
    wide = [
        *(row.result["pair"] for row in floats),
        *(pair for row in predicted for pair in row.result.get("float_pairs", ())),
    ]
    off = [abs(guess / measured - 1) for guess, measured in wide]
    figures["float_predictor_worst_error"] = Metric(max(off, default=None), goal="<= 0.1")
    steep = [abs(slope / measured - 1) for slope, measured in gradients]
    mobile = [row for row in nets if row.settings["subject"] == "mobilenet_v2"]
    relative = [row.result["max_rel_error"] for row in (*nets, *floats)]
    wrong = [row.result["mismatches"] for row in (*nets, *integers)]
    figures |= {
        "predictor_median_error": Metric(statistics.median(errors) if errors else None, goal="<= 0.05"),
        "predictor_p90_error": Metric(float(np.quantile(errors, 0.9)) if errors else None, goal="<= 0.1"),
        "predictor_tau": Metric(tau(pairs) if pairs else None, goal=">= 0.95"),
        "gradient_error": Metric(max(steep, default=None), unit="worst of the layers", goal="<= 0.1"),
        "compile_seconds": over_seeds([row.result["compile_s"] for row in mobile], "s", "<= 10"),
        "max_rel_error": Metric(max(relative, default=None), goal="<= 1e-5"),
        "int8_mismatches": Metric(sum(wrong) if wrong else None, unit="samples", goal="<= 0"),
    }
    return figures


def _ratio(row: Row, name: str, numbers: str) -> float:
    """How many times faster than the best peer."""
    times = row.result["median_ms"]
    best = min(ms for peer, ms in times.items() if not peer.startswith("ours") and peer.endswith(numbers))
    return float(best / times[name])


def _unit(rows: Sequence[Row]) -> str:
    """Times faster; than fewer peers than the page names, if one was not installed."""
    missing = {each.partition(":")[0] for row in rows for each in row.result["missing"]} - {"MNN"}
    return ", ".join(["x", *(f"without {name}" for name in sorted(missing))])


def _geomean(rows: Sequence[Row], kernel: str, formats: Sequence[str], goal: str) -> Metric:
    """Over the shapes of a kernel, then over seeds; beside the best peer of 8 bits."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        if row.settings["subject"].startswith(kernel):
            ratio = max(_ratio(row, f"ours {name}", "int8") for name in formats)
            by_seed.setdefault(row.seed, []).append(math.log(ratio))
    return over_seeds([math.exp(statistics.fmean(logs)) for logs in by_seed.values()], _unit(rows), goal)


def tau(pairs: Sequence[Sequence[float]]) -> float:
    """Kendall's rank correlation of predicted and measured times.

    >>> tau([(1.0, 2.0), (2.0, 3.0), (3.0, 2.5)])
    0.3333333333333333
    """
    agree = [math.copysign(1.0, (a - c) * (b - d)) for k, (a, b) in enumerate(pairs) for c, d in list(pairs)[k + 1 :]]
    return statistics.fmean(agree)
