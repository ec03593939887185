"""Fixed point and FPGAs: the format rule, nets on devices with every step compared, and how well prices foretell them.

`python -m benchmarks.fpga [--quick] [--seed N] [--json FILE]`

Cells are parts, each with seeds of its own:
- `rule`: how often the format rule is the best format, on Gaussian samples of 120 spreads.
- `estimator`: the OFDM estimator, `qwedge run ofdm_fpga`: trained, compressed, on an ECP5-25k, and its bit errors.
- `radar`: a network of 9,709 weights that tells radar waveforms apart, trained, in fixed point, on an ECP5-85k.
- `sparse`: that network with fewer weights, on one multiplier per layer, beside its controls
  (`qwedge.experiments.five_class_fpga`).
- `bits`: a tiny net on an iCE40, where the packed bitstream itself is simulated.
- `prices`: random nets, estimated and built; none was among those that the constants were fitted to.
F8Net's loss on images is in `benchmarks.f8net`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from benchmarks import estimate_fit
from fpga.build.example import example
from fpga.build.flow import DesignConstraints, build_and_verify, build_directory, generate_design
from fpga.build.page import fmax, microseconds, per_second
from fpga.build.verify import RTL, default_samples, torch_check
from fpga.design.devices import device
from fpga.folded import plan, utilisation
from fpga.pricing import estimate
from fpga.synth import map_design
from qwedge.experiments.five_class_fpga import Comparison
from qwedge.experiments.ofdm_fpga import OFDMFPGA, OFDMFPGASettings
from shared.f8net import F8Net
from shared.integer import audit, outputs
from shared.integer.format import Format, fraction_for
from shared.lab import (
    JSON,
    Context,
    Experiment,
    Number,
    Page,
    Row,
    Settings,
    Table,
    Text,
    cite,
    cite_mean,
    compared,
    mean_over_seeds,
    verdict,
    wilson,
)
from shared.lab.running.benchmark import Metric, main
from wireless.ofdm.link.rates import over_seeds, ratio
from wireless.radar.five_class import network, training, waveforms

Part = Literal["rule", "estimator", "radar", "sparse", "bits", "prices"]

SPREADS = np.geomspace(0.05, 60, 120)
FRACTIONS = range(-8, 17)
KINDS = {"signed": True, "rectified": False}
HELD_OUT = 100
"""Seeds below this one are for development."""
SEEDS = 5
PER_SECOND = 10_000
"""Radar recordings a second that are asked for; the mapper may take so many clocks at 100 MHz."""


class FPGASettings(Settings):
    """Which part, and how much of it."""

    part: Part = Field(default="rule", description="what is measured")
    size: float = Field(default=1.0, gt=0, le=1, description="how much is drawn, trained and compared")
    csim: bool = Field(default=True, description="whether hls4ml's C++ is compiled and compared as well")


class FPGA(Experiment[FPGASettings]):
    """Fixed point and FPGAs: formats, nets on devices compared bit for bit, prices against place and route."""

    name = "fpga-benchmark"
    version = 4

    def run(self, cell: FPGASettings, context: Context) -> Mapping[str, JSON]:
        parts = {
            "rule": rule,
            "estimator": estimator,
            "radar": radar_on_device,
            "sparse": sparse_nets,
            "bits": bits_on_device,
            "prices": prices,
        }
        return parts[cell.part](cell, context)

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (
                row.settings["part"],
                cite(row.seed, row),
                check["name"],
                check["outcome"],
                cite(check["samples"], row),
                cite(check["mismatches"], row),
            )
            for row in rows
            for check in row.result.get("ladder", ())
        ]
        columns = ("part", "seed", "check", "outcome", "samples", "mismatches")
        sparse = [row for row in rows if "radar_nets" in row.result]
        return Page(
            "Fixed point and FPGAs",
            self.summary,
            (*([_radar_nets(sparse)] if sparse else []), Table("Every step compared", columns, lines)),
            Text(*_radar_verdict(sparse), *_checks_verdict(rows)),
        )


RADAR_NETS = {
    "admm": "pruned by ADMM",
    "magnitude": "pruned by magnitude",
    "small": "small from the start",
    "whole": "unpruned",
}


def _radar_verdict(rows: Sequence[Row]) -> Iterator[str | Number]:
    """The radar net pruned by ADMM beside the others, in accuracy paired by seed; with the multipliers of each."""
    if not rows:
        return
    comparisons = []
    for name, words in RADAR_NETS.items():
        if name != "admm":
            points = [_accuracy(row, "admm") - _accuracy(row, name) for row in rows]
            it = compared(words, cite_mean(points, *rows, form="+.2f", unit="points"))
            more = [_multipliers(row, "admm") - _multipliers(row, name) for row in rows]
            comparisons.append(
                it._replace(numbers=(*it.numbers, cite_mean(more, *rows, form="+.3g", unit="multiplier blocks")))
            )
    ours = f"The radar net {RADAR_NETS['admm']}"
    yield from verdict(ours, comparisons, "is more accurate than", behind="is less accurate than").parts
    yield " "


def _checks_verdict(rows: Sequence[Row]) -> Iterator[str | Number]:
    checks = [check for row in rows for check in row.result.get("ladder", ())]
    if checks:
        passed = sum(check["outcome"] == "passed" for check in checks)
        yield from (cite(passed, *rows), f" of {len(checks)} checks agree with the integer program on every sample.")


def _radar_nets(rows: Sequence[Row]) -> Table:
    lines = [
        (
            words,
            cite_mean([_accuracy(row, name) for row in rows], *rows, form=".2f", unit="%"),
            cite_mean([_multipliers(row, name) for row in rows], *rows, form=".3g"),
        )
        for name, words in RADAR_NETS.items()
    ]
    note = "Means over seeds with 95 % intervals. All nets are in 8 bits and were trained for as many epochs."
    return Table("Radar nets at 1,250 recordings a second", ("net", "accuracy", "multiplier blocks"), lines, note=note)


def _accuracy(row: Row, name: str) -> float:
    net = row.result["radar_nets"][name]
    return float(100 * net["right"] / net["of"])


def _multipliers(row: Row, name: str) -> float:
    return float(row.result["radar_nets"][name]["multipliers"])


def rule(cell: FPGASettings, context: Context) -> dict[str, JSON]:
    """How often the rule takes the number of fraction bits that loses least, of all from -8 to 16."""
    result: dict[str, JSON] = {}
    for kind, signed in KINDS.items():
        hits, ratios = 0, []
        for done, sigma in enumerate(SPREADS):
            values = context.rng.normal(0, sigma, round(20_000 * cell.size))
            losses = {fraction: loss(values, fraction, signed) for fraction in FRACTIONS}
            taken = fraction_for(float(values.std()), signed=signed)
            hits += losses[taken] == min(losses.values())
            ratios.append(losses[taken] / min(losses.values()))
            context.progress(done + 1, len(SPREADS), kind)
        result[kind] = {"hits": int(hits), "of": len(SPREADS), "mean_loss_ratio": float(np.mean(ratios))}
    return result


def loss(values: np.ndarray[Any, np.dtype[np.float64]], fraction: int, signed: bool) -> float:
    """The root mean square error of a format, behind a ReLU if unsigned."""
    wanted = values if signed else np.maximum(values, 0)
    return float(np.sqrt(np.mean((Format(8, fraction, signed).quantise(values) - wanted) ** 2)))


def estimator(cell: FPGASettings, context: Context) -> Mapping[str, JSON]:
    """The experiment `ofdm_fpga` at its defaults."""
    full = OFDMFPGASettings(seed=cell.seed, csim=cell.csim)
    small = {"training": cell.size, "packets": 40, "compared": compared_samples(cell)} if cell.size < 1 else {}
    return OFDMFPGA().run(full.model_copy(update=small), context)


def compared_samples(cell: FPGASettings) -> int:
    """Samples of the RTL."""
    return max(round(default_samples(RTL) * cell.size), 10)


def radar_on_device(cell: FPGASettings, context: Context) -> dict[str, JSON]:
    """Trained, on the device at the rate that is asked for, and counted on fresh recordings."""
    net, right, (x, y) = radar_net(cell, context)
    program, target, interval = net.program(), device("ecp5-85k"), round(100e6 / PER_SECOND)
    audit(program).require(8)
    samples = waveforms.FORMAT.to_integers(x.numpy())
    (scores,) = outputs(program, samples)
    built = build_and_verify(
        program,
        target,
        DesignConstraints("folded", interval=interval),
        context,
        compared=compared_samples(cell),
        csim=cell.csim,
        task_samples=samples,
        preceding=[torch_check(net, program, max(compared_samples(cell) // 10, 1))],
    )
    shares = utilisation(plan(program, target, interval=interval))
    return {
        "net": "radar",
        "weights": sum(parameter.numel() for parameter in network.network().parameters()),
        "float": right,
        "fixed": int((scores.argmax(1) == y.numpy()).sum()),
        "of": len(y),
        "utilisation": [asdict(share) for share in shares],
        **built,
    }


def radar_net(cell: FPGASettings, context: Context) -> tuple[F8Net, int, tuple[torch.Tensor, torch.Tensor]]:
    """The trained fixed-point net, how many the float net named rightly, and the recordings that both are tried on."""
    right = context.stage("trained", lambda: train_radar(cell, context))
    net = F8Net(network.network(), shape=(2, waveforms.SAMPLES), input=waveforms.FORMAT)
    net.load_state_dict(context.load_tensors("trained"))
    return net.eval(), right, recordings(cell)


def recordings(cell: FPGASettings) -> tuple[torch.Tensor, torch.Tensor]:
    """Those that nets are tried on, and what they are."""
    return waveforms.sample(max(round(2000 * cell.size), 100), np.random.default_rng((cell.seed, 1)))


def train_radar(cell: FPGASettings, context: Context) -> int:
    """How many recordings the float net names rightly; the fixed-point net's tensors are saved as `trained`."""
    rng, examples, epochs = context.rng, max(round(20_000 * cell.size), 256), max(round(24 * cell.size), 1)
    net = network.fresh(rng)
    for epoch in training.train(net, examples, epochs, 8e-3, rng):
        context.progress(epoch, epochs, "training the radar network")
    x, y = recordings(cell)
    with torch.no_grad():
        right = int((net(x).argmax(1) == y).sum())
    fixed = F8Net(net, shape=(2, waveforms.SAMPLES), input=waveforms.FORMAT)
    fixed.calibrate(waveforms.sample(512, rng)[0])
    for epoch in training.train(fixed, examples, max(epochs // 6, 1), 1e-3, rng):
        context.progress(epoch, max(epochs // 6, 1), "training in fixed point")
    context.save_tensors("trained", fixed.state_dict())
    return right


def sparse_nets(cell: FPGASettings, context: Context) -> dict[str, JSON]:
    """Multipliers that the radar network needs at 1,250 recordings a second, pruned and not."""
    examples, epochs = max(round(20_000 * cell.size), 256), max(round(24 * cell.size), 1)
    return {"radar_nets": Comparison(context, recordings(cell), examples, epochs).result()}


def bits_on_device(cell: FPGASettings, context: Context) -> dict[str, JSON]:
    """A net of 8-6-3 units with random weights of 4 bits: what the bitstream does is simulated."""
    program = example(context.rng)
    constraints = DesignConstraints("unrolled", clock_mhz=50)
    built = build_and_verify(
        program, device("ice40-hx8k"), constraints, context, compared=compared_samples(cell), csim=cell.csim
    )
    return {"net": "8-6-3", **built}


def prices(cell: FPGASettings, context: Context) -> dict[str, JSON]:
    """One random net of each generator, estimated, and what nextpnr counts."""
    target, nets = device("ecp5-85k"), []
    for draw_net, style in ((estimate_fit.any_net, "folded"), (estimate_fit.sparse, "unrolled")):
        program = draw_net(context.rng)
        generated = generate_design(program, target, DesignConstraints(style))  # type: ignore[arg-type]
        folder = build_directory(generated.design)
        cells = map_design(generated.design, target, folder, progress=lambda line: context.progress(0, 1, line))
        nets.append(
            {"estimate": asdict(estimate.total(generated.estimate)), "used": asdict(cells.used), "style": style}
        )
    return {"nets": nets}


def cells(quick: bool, seed: int) -> list[FPGASettings]:
    first = HELD_OUT + seed
    if quick:
        small = [FPGASettings(part="rule", seed=first, size=0.1), FPGASettings(part="bits", seed=first, size=0.1)]
        return [cell.model_copy(update={"csim": False}) for cell in small]
    counts: Mapping[Part, int] = {
        "rule": 3,
        "bits": 1,
        "prices": 4,
        "estimator": SEEDS,
        "radar": SEEDS,
        "sparse": SEEDS,
    }
    return [FPGASettings(part=part, seed=first + k) for part, count in counts.items() for k in range(count)]


def figures(rows: Sequence[Row]) -> dict[str, Metric]:
    of: dict[str, list[Row]] = {}
    for row in rows:
        of.setdefault(row.settings["part"], []).append(row)
    metrics = {"mismatches": _mismatches(rows), "rungs_not_passed": _not_passed(rows)}
    metrics["f8net_rule_agreement"] = _rule(of.get("rule", []))
    metrics |= _estimator(of.get("estimator", []))
    metrics |= _radar(of.get("radar", []))
    metrics |= _sparse(of.get("sparse", []))
    metrics["estimate_error"] = _estimate_error([*of.get("prices", []), *of.get("estimator", []), *of.get("radar", [])])
    return metrics


def _mismatches(rows: Sequence[Row]) -> Metric:
    checks = [check for row in rows for check in row.result.get("ladder", ())]
    samples = sum(check["samples"] for check in checks)
    return Metric(sum(check["mismatches"] for check in checks), unit=f"in {samples} compared samples", goal="<= 0")


def _not_passed(rows: Sequence[Row]) -> Metric:
    """Checks that failed or could not run here."""
    checks = [check for row in rows for check in row.result.get("ladder", ())]
    return Metric(sum(check["outcome"] != "passed" for check in checks), unit=f"of {len(checks)}", goal="<= 0")


def _rule(rows: Sequence[Row]) -> Metric:
    """The share of the kind that agrees less often."""
    if not rows:
        return Metric(None, goal=">= 0.9")

    def count(kind: str, what: str) -> int:
        return sum(int(row.result[kind][what]) for row in rows)

    share = min(wilson(count(kind, "hits"), count(kind, "of")) for kind in KINDS)
    return Metric(*share, goal=">= 0.9")


def _estimator(rows: Sequence[Row]) -> dict[str, Metric]:
    if not rows:
        return {}
    minutes = [sum(row.result["built"]["seconds"].values()) / 60 for row in rows]
    cut = mean_over_seeds([lut(row, "wide, unrolled") / lut(row, "small, unrolled") for row in rows])
    unrolled = mean_over_seeds([lut(row, "small, unrolled") / lut(row, "fixed, folded") for row in rows])
    losses = {name: over_seeds(ratio(name, "float"), rows, _errors) for name in ("fixed", "small")}
    return {
        "estimator_share_ecp5_25k": _worst([fullest(row) for row in rows], "of the fullest resource", "<= 1", max),
        "estimator_fmax_mhz": _worst([fmax(row) for row in rows], "MHz", ">= 100", min),
        "estimator_latency_us": _worst([microseconds(row) for row in rows], "us", "<= 4", max),
        "estimator_ber_ratio_8bit": Metric(*losses["fixed"], "x", "<= 1.02"),
        "estimator_ber_ratio_pruned": Metric(*losses["small"], "x", "<= 1.02"),
        "resource_cut": Metric(*cut, "x logic cells, 16-bit / pruned 8-bit", ">= 8"),
        "unrolled_vs_folded": Metric(*unrolled, "x logic cells, pruned and unrolled / unpruned and folded"),
        "flow_minutes": _worst(minutes, "minutes of a contended machine", "<= 4", max),
    }


def lut(row: Row, net: str) -> float:
    """Logic cells of a net of the estimator as mapped."""
    return float(row.result["sizes"][net]["used"]["lut"])


def _errors(row: Row) -> Any:
    return row.result["errors"]


def _radar(rows: Sequence[Row]) -> dict[str, Metric]:
    if not rows:
        return {}
    busy = [next(s for s in row.result["utilisation"] if s["name"] == "net") for row in rows]
    percent = {kind: [100 * row.result[kind] / row.result["of"] for row in rows] for kind in ("float", "fixed")}
    gap = mean_over_seeds([100 * (row.result["float"] - row.result["fixed"]) / row.result["of"] for row in rows])
    return {
        "radar_share_ecp5_85k": _worst([fullest(row) for row in rows], "of the fullest resource", "<= 1", max),
        "radar_per_second": _worst([per_second(row) for row in rows], "recordings a second", ">= 10000", min),
        "radar_accuracy_float": Metric(*mean_over_seeds(percent["float"]), "%"),
        "radar_accuracy_8bit": Metric(*mean_over_seeds(percent["fixed"]), "%"),
        "radar_gap": Metric(*gap, "points", "<= 1"),
        "fold_area_x_time": _worst([share["busy"] for share in busy], "of multipliers while busy", ">= 0.85", min),
        "fold_area_x_time_interval": _worst(
            [share["interval"] for share in busy], "of multipliers, all clocks", "", min
        ),
    }


def _sparse(rows: Sequence[Row]) -> dict[str, Metric]:
    """Multipliers saved by the search, and what each way to save as many loses in accuracy."""
    if not rows:
        return {}
    nets = [row.result["radar_nets"] for row in rows]
    cut = mean_over_seeds([each["whole"]["multipliers"] / each["admm"]["multipliers"] for each in nets])
    metrics = {"sparse_multiplier_cut": Metric(*cut, "x multiplier blocks, unpruned / pruned by ADMM")}
    for name in ("admm", "magnitude", "small"):
        lost = mean_over_seeds(
            [100 * (each["whole"]["right"] - each[name]["right"]) / each[name]["of"] for each in nets]
        )
        metrics[f"sparse_gap_{name}"] = Metric(*lost, "points below the unpruned net")
    return metrics


def fullest(row: Row) -> float:
    """The share of the resource of which least is left."""
    used, have = row.result["built"]["used"], row.result["built"]["available"]
    return max(float(used[kind] / have[kind]) for kind in used if have[kind])


def _worst(values: Sequence[float], unit: str, goal: str, worst: Any) -> Metric:
    """The worst over seeds, between the best and itself."""
    return Metric(worst(values), min(values), max(values), unit, goal)


def _estimate_error(rows: Sequence[Row]) -> Metric:
    """Median over nets of |estimated - used| / used, in logic cells."""
    pairs = [
        (net["estimate"]["lut"], net["used"]["lut"])
        for row in rows
        for net in (*row.result.get("nets", ()), *row.result.get("sizes", {}).values(), *_built(row))
    ]
    if not pairs:
        return Metric(None, unit="%", goal="<= 15")
    errors = sorted(100 * abs(estimated - used) / used for estimated, used in pairs)
    return Metric(float(np.median(errors)), errors[0], errors[-1], f"% over {len(errors)} nets", "<= 15")


def _built(row: Row) -> list[dict[str, Any]]:
    if "built" not in row.result:
        return []
    return [{"estimate": row.result["estimate"], "used": row.result["built"]["used"]}]


if __name__ == "__main__":
    main(FPGA(), cells, figures)
