"""The frame of a benchmark: `benchmarks/NAME.py` says which cells, and which figures follow from their rows."""

import argparse
import json
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from shared.lab.pages.page import Number, Table
from shared.lab.pages.terminal import print_page, print_table
from shared.lab.records.identity import to_json_data
from shared.lab.records.json_log import write_atomic
from shared.lab.records.provenance import provenance
from shared.lab.records.settings import Settings
from shared.lab.records.statistics import mean_over_seeds
from shared.lab.records.store import Row, Store
from shared.lab.running.experiment import Experiment
from shared.lab.running.runner import run

S = TypeVar("S", bound=Settings)

_COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


class Metric(NamedTuple):
    """One figure of a benchmark: a value, its interval, its unit, and a goal such as `>= 4`; None: not measured."""

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    goal: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the value reaches the goal; None without a value or a goal. Raises ValueError for an odd goal.

        >>> Metric(4.5, goal=">= 4").met
        True
        """
        if self.value is None or not self.goal:
            return None
        sign, _, bound = self.goal.partition(" ")
        if sign not in _COMPARISONS:
            raise ValueError(f"goal {self.goal!r}: needs `>=`, `<=`, `>` or `<` and a number")
        return bool(_COMPARISONS[sign](self.value, float(bound)))


def over_seeds(values: Sequence[float], unit: str = "", goal: str = "") -> Metric:
    """The mean of one value per seed: its interval needs two seeds, and without any it was not measured.

    >>> over_seeds([4.5], "x", ">= 4")
    Metric(value=4.5, low=None, high=None, unit='x', goal='>= 4')
    """
    return Metric(*mean_over_seeds(values), unit, goal) if values else Metric(None, unit=unit, goal=goal)


def main(
    experiment: Experiment[S],
    cells: Callable[[bool, int], Sequence[S]],
    figures: Callable[[Sequence[Row]], Mapping[str, Metric]],
    arguments: Sequence[str] | None = None,
) -> None:
    """Run a benchmark from the command line: `[--quick] [--seed N] [--json FILE] [--out DIR]`.

    `cells(quick, seed)` gives what to compute and `figures(rows)` what follows from it. Rows are kept in DIR, by
    default the folder `qwedge run` uses, so a benchmark that was stopped goes on, and shares its rows with the
    command line. FILE receives `{"rows", "figures", "provenance"}`; the same figures are printed.
    """
    options = _parse(experiment, arguments)
    rows = run(experiment, cells(options.quick, options.seed), Store(options.out), quiet=False)
    measured = figures(rows)
    if options.json is not None:
        contents = {
            "rows": [row.to_json_data() for row in rows],
            "figures": {name: measure._asdict() for name, measure in measured.items()},
            "provenance": provenance(" ".join([Path(sys.executable).name, *sys.orig_argv[1:]])),
        }
        write_atomic(
            options.json, json.dumps(to_json_data(contents, "contents"), indent=1, ensure_ascii=False).encode()
        )
    if rows:
        print_page(experiment.page(rows))
    print_table(figures_table(measured))


def figures_table(measured: Mapping[str, Metric]) -> Table:
    """The figures beside their goals."""
    verdicts = {True: "yes", False: "no", None: ""}
    lines = [
        (name, Number(it.value, (), unit=it.unit, low=it.low, high=it.high), it.goal, verdicts[it.met])
        for name, it in measured.items()
    ]
    return Table("Figures", ("figure", "value", "goal", "reached"), lines)


def _parse(experiment: Experiment[Any], arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"Benchmark of {experiment.name}: {experiment.summary}")
    parser.add_argument("--quick", action="store_true", help="a small part, in under two minutes")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first seed (default: 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows, figures and provenance to FILE")
    default = Path("runs") / experiment.name
    parser.add_argument(
        "--out", type=Path, default=default, metavar="DIR", help=f"keep rows in DIR (default: {default})"
    )
    return parser.parse_args(arguments)
