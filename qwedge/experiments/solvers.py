"""ADMM and the relaxation on one problem of each domain, at equal prices and equal numbers of gradient steps.

All methods start from the same trained point, take `SEARCH` gradient steps to choose, and `TUNING` more with the choice
fixed. The plain control projects once and takes all of these steps with its choice fixed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field

from qwedge.experiments.solver_problems import PROBLEMS
from shared.lab import (
    JSON,
    Context,
    Experiment,
    Number,
    Page,
    Row,
    Seeded,
    Table,
    Text,
    cite,
    cite_mean,
    compared,
    verdict,
)

Domain = Literal["circuits", "receiver", "f8net", "fpga"]

METHODS: Final = {
    "once": "projected once",
    "admm": "ADMM",
    "relaxation": "relaxation",
    "straight_through": "relaxation, straight-through",
}


class SolversSettings(Seeded):
    """One problem of one domain."""

    domain: Domain = Field(default="fpga", description="whose problem is compressed")
    share: float = Field(default=0.3, gt=0, lt=1, description="budget, as a share of the dense price")


class Solvers(Experiment[SolversSettings]):
    """Compare ADMM, the relaxation and projecting once in four domains, at equal prices and gradient steps.

    One cell is one seed of one problem, compressed by every method.
    """

    name = "solvers"
    version = 1

    def run(self, cell: SolversSettings, context: Context) -> Mapping[str, JSON]:
        problem = PROBLEMS[cell.domain](cell.seed, context.generator())
        dense = problem.price.measure(problem.x)
        budget = cell.share * dense
        result: dict[str, JSON] = {
            "unit": problem.price.unit,
            "dense": {"price": dense, "loss": problem.held_out(problem.x)},
            "budget": budget,
        }
        for done, name in enumerate(METHODS):
            context.progress(done, len(METHODS), METHODS[name])
            result[name] = problem.compressed(name, budget)
        return result

    def page(self, rows: Sequence[Row]) -> Page:
        domains = list(dict.fromkeys(row.settings["domain"] for row in rows))
        groups = [[row for row in rows if row.settings["domain"] == domain] for domain in domains]
        lines: list[Sequence[str | Number]] = [
            (row.settings["domain"], cite(row.seed, row), METHODS[name], *(_cited(row, name, key) for key in COLUMNS))
            for row in rows
            for name in METHODS
        ]
        return Page(
            "Which solver",
            f"{self.summary} Level: the interval of the difference, paired by seed, holds 0.",
            [
                *(_means(group) for group in groups),
                Table("Every seed", ("domain", "seed", "method", *COLUMNS.values()), lines),
            ],
            Text(*(part for group in groups for part in _verdict(group))),
        )


def _verdict(rows: Sequence[Row]) -> list[str | Number]:
    """The method with the least held-out loss of one domain beside the others, paired by seed."""
    best = min(METHODS, key=lambda name: sum(row.result[name]["loss"] for row in rows))
    comparisons = [
        compared(
            METHODS[name],
            cite_mean(
                [row.result[best]["loss"] - row.result[name]["loss"] for row in rows], *rows, form="+.3g", unit="loss"
            ),
            less_is_better=True,
        )
        for name in METHODS
        if name != best
    ]
    ours = f"In {rows[0].settings['domain']}, {METHODS[best]}"
    return [*verdict(ours, comparisons, "has a lower held-out loss than").parts, " "]


def _means(rows: Sequence[Row]) -> Table:
    """The means over seeds of one domain."""
    lines: list[Sequence[str | Number]] = [
        (METHODS[name], *(cite_mean([row.result[name][key] for row in rows], *rows, form=".3g") for key in COLUMNS))
        for name in METHODS
    ]
    budget = sum(row.result["budget"] for row in rows) / len(rows)
    dense = sum(row.result["dense"]["loss"] for row in rows) / len(rows)
    note = (
        f"Means over {len(rows)} seeds with 95 % intervals; lower is better. The budget is {budget:.4g} "
        f"{rows[0].result['unit']}; the dense point has a loss of {dense:.4g}."
    )
    return Table(f"{rows[0].settings['domain']}: means over seeds", ("method", *COLUMNS.values()), lines, note=note)


COLUMNS: Final = {"loss": "held-out loss", "price": "measured price", "gradients": "gradient steps", "cpu_s": "CPU s"}


def _cited(row: Row, name: str, key: str) -> Any:
    return cite(row.result[name][key], row, form=".4g")


def excess(rows: Sequence[Row], domain: str, name: str) -> list[float]:
    """Held-out loss above the dense point's, of each seed."""
    return [row.result[name]["loss"] - row.result["dense"]["loss"] for row in rows if row.settings["domain"] == domain]
