"""The OFDM receiver against every baseline: five seeds that nothing was tuned on, each with networks of its own.

`python -m benchmarks.ofdm [--quick] [--seed N] [--json FILE]`

Recordings are taken from `wifi80211` in the folder that the environment variable QWEDGE_DATA names; without it, that
figure is skipped.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from shared.lab import Interval, Row
from shared.lab.running.benchmark import Metric, main
from wireless.ofdm.experiment.run import CHANNELS, OFDM, RADIOS, OFDMSettings
from wireless.ofdm.experiment.tables import UNCOMPRESSED, added
from wireless.ofdm.link.rates import (
    Figure,
    Points,
    main_points,
    mean_reduction,
    over_packets,
    over_seeds,
    pooled,
    ratio,
)

SEEDS = 5
HELD_OUT = 300
"""Seeds below 100 are for development; 100 to 104 were read for the first version of the experiment."""

SOFT = "ls/max-log/soft-viterbi"
NEURAL = "neural/max-log/soft-viterbi"


def cells(quick: bool, seed: int) -> Sequence[OFDMSettings]:
    if quick:
        small = {"packets": 100, "others": 100, "decoded": 20, "training": 0.3, "channels": ("two-tap", "beyond-cp")}
        return [OFDMSettings(seed=HELD_OUT + seed, **small)]  # type: ignore[arg-type]
    return OFDMSettings(
        seed=HELD_OUT + seed,
        seeds=SEEDS,
        packets=400,
        others=200,
        channels=tuple(CHANNELS),
        recordings=recordings(),
    ).per_seed()


def recordings() -> str:
    """The folder of recordings, or nothing where the data folder is not named."""
    folder = os.environ.get("QWEDGE_DATA")
    available = folder is not None and any(Path(folder, "wifi80211").glob("*.dat"))
    return "$QWEDGE_DATA/wifi80211" if available else ""


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    metrics = {
        "ber_cut_vs_ls_hard": _measure(mean_reduction("ours", "hard"), rows, main_points, ">= 0.84"),
        "ber_cut_vs_ls_soft": _measure(mean_reduction("ours", SOFT), rows, main_points, ">= 0.50"),
        "ber_ratio_genie_lmmse": _measure(ratio("ours", "genie"), rows, main_points, "<= 0.95"),
        "ber_ratio_genie_lmmse_packed": _measure(ratio("ours, packed", "genie"), rows, main_points, "<= 0.95"),
        "ber_ratio_perfect": _measure(ratio("ours", "perfect"), rows, main_points, ""),
        "ber_ratio_feedback_control": _measure(ratio("ours", "robust, soft feedback"), rows, main_points, ""),
        "estimator_bytes": _bytes(rows),
        "packed_ber_loss": _measure(_loss("estimator, packed", NEURAL), rows, main_points, "<= 0.02"),
        "packed_ber_loss_feedback": _measure(_loss("ours, packed", "ours"), rows, main_points, "<= 0.02"),
        "demapper_ber_cut_impaired": _measure(
            mean_reduction("neural", "max-log"), rows, _radios(*map(str, RADIOS)), ">= 0.15"
        ),
    }
    for mbps in map(str, RADIOS):
        metrics[f"demapper_ber_cut_impaired_{mbps}"] = _measure(
            mean_reduction("neural", "max-log"), rows, _radios(mbps), ""
        )
    metrics["demapper_ber_ratio_matched"] = _measure(ratio("neural/neural/soft-viterbi", NEURAL), rows, main_points, "")
    metrics |= _blocks(rows)
    metrics |= _outside(rows)
    metrics["recording_per_cut"] = _recorded(rows, "hard", ">= 0.10")
    metrics["recording_per_cut_vs_soft"] = _recorded(rows, "ls", "")
    return metrics


def _blocks(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """The larger estimators beside the small one, and every block's compressed forms beside its float32 one."""
    metrics = {
        f"ber_ratio_{name.replace('-', '_')}": _measure(ratio(name, NEURAL), rows, main_points, "")
        for name in ("neural-5k", "dense")
    }
    for block, (reference, points) in UNCOMPRESSED.items():
        for what in ("fewer units", "8 bits", "packed"):
            if (block, what) != ("estimator", "packed"):
                figure = _loss(f"{block}, {what}", reference)
                metrics[f"{block}_{what.replace(' ', '_')}_ber_loss"] = _measure(figure, rows, points, "")
    for block in ("demapper", "decoder"):
        sizes = [row.result["networks"][f"{block}, packed"]["bytes"] for row in rows]
        metrics[f"{block}_bytes"] = Metric(max(sizes), min(sizes), max(sizes), "bytes")
    return metrics


def _measure(figure: Figure, rows: Sequence[Row], points: Callable[[Row], Points], goal: str) -> Metric:
    if not all(points(row) for row in rows):
        return Metric(None, goal=goal)
    it = over_seeds(figure, rows, points)
    return Metric(it.value, it.low, it.high, "", goal)


def _loss(ours: str, dense: str) -> Figure:
    """The relative rise of the bit error rate that compression brings."""
    return lambda rate, points: ratio(ours, dense)(rate, points) - 1


def _bytes(rows: Sequence[Row]) -> Metric:
    """The longest of the packed files."""
    sizes = [row.result["networks"]["estimator, packed"]["bytes"] for row in rows]
    return Metric(max(sizes), min(sizes), max(sizes), "bytes", "<= 208")


def _radios(*rates: str) -> Callable[[Row], Points]:
    return lambda row: [point for mbps in rates for point in row.result["radios"][mbps]]


def _outside(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """BER over that of LS + soft Viterbi on each channel, packets of all seeds together, and the worst of them.

    Both the estimator alone in the legacy chain and ours with feedback have to hold.
    """
    metrics: dict[str, Metric] = {}
    for name in rows[0].result["outside"]:
        points = pooled(rows, partial(_section, name))
        if not points:
            continue
        higher = max((over_packets(added(receiver), points) for receiver in ("neural", "ours")), key=_value)
        metrics[f"ood_ratio_{name}"] = Metric(higher.value, higher.low, higher.high)
    worst = max(metrics.values(), key=lambda it: it.value or 0.0, default=Metric(None))
    return {"ood_worst_ratio": worst._replace(goal="<= 1.0")} | metrics


def _section(name: str, row: Row) -> Points:
    points: Points = row.result["outside"][name]
    return points


def _value(it: Interval) -> float:
    return it.value


def _recorded(rows: Sequence[Row], reference: str, goal: str) -> Metric:
    """Mean over SNRs of 1 - PER / PER(reference) where the reference lost frames; draws of noise are bootstrapped."""
    if not all(row.result["recordings"] for row in rows):
        return Metric(None, unit="skipped: these rows have no recordings (a quick run, or no QWEDGE_DATA)", goal=goal)
    points = [
        {"bits": sum(len(p["lost"]["ours"]) for p in same), "bit_errors": _joined([p["lost"] for p in same])}
        for same in zip(*(row.result["recordings"] for row in rows), strict=True)
    ]
    it = over_packets(mean_reduction("ours", reference), points)
    return Metric(it.value, it.low, it.high, "", goal)


def _joined(lost: Sequence[Mapping[str, list[int]]]) -> dict[str, list[int]]:
    return {name: [n for one in lost for n in one[name]] for name in lost[0]}


if __name__ == "__main__":
    main(OFDM(), cells, figures)
