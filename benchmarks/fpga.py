"""Fixed point and FPGAs: how often the format rule is the best format.

`python -m benchmarks.fpga [--quick] [--seed N] [--json FILE]`

One cell is one seed. On drawn Gaussians of 120 spreads from 0.05 to 60, the fraction bits that the rule takes from the
sample's own spread are compared with those that lose least, found by trying all from -8 to 16: 8 bits, signed, and
unsigned behind a ReLU.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.fixedpoint import Format, fraction_for
from shared.lab import JSON, Context, Experiment, Page, Row, Settings, Table, cite, wilson
from shared.lab.benchmark import Measure, main

SPREADS = np.geomspace(0.05, 60, 120)
FRACTIONS = range(-8, 17)
KINDS = {"signed": True, "rectified": False}


class RuleSettings(Settings):
    """How much is drawn."""

    samples: int = Field(default=20_000, ge=100, description="numbers drawn from each Gaussian")


class FormatRule(Experiment[RuleSettings]):
    name = "fpga-benchmark"
    version = 1
    summary = "How often the format rule of F8Net takes the best number of fraction bits."
    settings = RuleSettings

    def run(self, cell: RuleSettings, context: Context) -> Mapping[str, JSON]:
        result: dict[str, JSON] = {}
        for kind, signed in KINDS.items():
            hits, ratios = 0, []
            for done, sigma in enumerate(SPREADS):
                values = context.rng.normal(0, sigma, cell.samples)
                losses = {fraction: loss(values, fraction, signed) for fraction in FRACTIONS}
                taken = fraction_for(float(values.std()), signed=signed)
                hits += losses[taken] == min(losses.values())
                ratios.append(losses[taken] / min(losses.values()))
                context.progress(done + 1, len(SPREADS), kind)
            result[kind] = {"hits": int(hits), "of": len(SPREADS), "mean_loss_ratio": float(np.mean(ratios))}
        return result

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (
                kind,
                cite(row.seed, row),
                cite(row.result[kind]["hits"], row),
                cite(row.result[kind]["of"], row),
                cite(100 * (row.result[kind]["mean_loss_ratio"] - 1), row, form=".2f", unit="%"),
            )
            for row in rows
            for kind in KINDS
        ]
        header = ("numbers", "seed", "best taken", "of", "mean extra RMS error")
        return Page("Format rule", self.summary, (Table("8 bits", header, lines),))


def loss(values: NDArray[np.float64], fraction: int, signed: bool) -> float:
    """The root mean square error of a format, behind a ReLU if unsigned."""
    wanted = values if signed else np.maximum(values, 0)
    return float(np.sqrt(np.mean((Format(8, fraction, signed).quantise(values) - wanted) ** 2)))


def cells(quick: bool, seed: int) -> list[RuleSettings]:
    return [RuleSettings(seed=seed + k, samples=2_000 if quick else 20_000) for k in range(1 if quick else 3)]


def figures(rows: Sequence[Row]) -> dict[str, Measure]:
    """The share of the kind that agrees less often."""

    def count(kind: str, what: str) -> int:
        return sum(int(row.result[kind][what]) for row in rows)

    share = min(wilson(count(kind, "hits"), count(kind, "of")) for kind in KINDS)
    return {"f8net_rule_agreement": Measure(*share, goal=">= 0.9")}


if __name__ == "__main__":
    main(FormatRule(), cells, figures)
