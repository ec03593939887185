"""How much sooner eight cells are done on two worker processes than one after the other, on an otherwise idle machine.

`python -m benchmarks.engines [--quick] [--seed N] [--json FILE]`

A cell is a few seconds of NumPy on one core. Both engines compute the same cells, each time into a new folder, in turn;
starting the workers is part of the time. What both write is compared as well: the rows must be equal.
"""

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from shared.lab import (
    JSON,
    Context,
    Engine,
    Experiment,
    Local,
    Page,
    Processes,
    Row,
    Seeded,
    Settings,
    Store,
    Table,
    cite,
    run,
)
from shared.lab.running.benchmark import Metric, main

WORKERS = 2
SEEDS = 3
"""Of three rounds each: cores of one machine may differ in speed, and one process alone runs on either."""

ENGINES: Mapping[str, Engine] = {"local": Local(), "workers": Processes(WORKERS)}


class WorkSettings(Seeded):
    """Work of one core."""

    sorts: int = Field(default=900, gt=0, description="arrays of 100,000 numbers that a cell draws and sorts")


class Work(Experiment[WorkSettings]):
    """Work of one core for a few seconds.

    Draws and sorts, which one core does alone.
    """

    name = "work"
    version = 1

    def run(self, cell: WorkSettings, context: Context) -> Mapping[str, JSON]:
        medians = []
        for done in range(cell.sorts):
            medians.append(float(np.sort(context.rng.normal(size=100_000))[50_000]))
            context.progress(done + 1, cell.sorts, "sorting")
        return {"medians": medians}

    def page(self, rows: Sequence[Row]) -> Page:
        return Page("Work", self.summary, ())


class EnginesSettings(Settings):
    """How many cells each engine computes, and how often."""

    cells: int = Field(default=8, gt=0, description="cells of each run")
    sorts: int = Field(default=900, gt=0, description="size of a cell; 900 take about three seconds")
    rounds: int = Field(default=3, gt=0, description="runs of each engine, in turn")


class Engines(Experiment[EnginesSettings]):
    """The same cells one after the other, and on two worker processes.

    One cell is all rounds of both engines.
    """

    name = "engines"
    version = 1

    def run(self, cell: EnginesSettings, context: Context) -> Mapping[str, JSON]:
        work = Work()
        cells = WorkSettings(sorts=cell.sorts, seeds=cell.cells).per_seed()
        seconds: dict[str, list[float]] = {name: [] for name in ENGINES}
        unequal = 0
        for done in range(cell.rounds):
            results = []
            for name, engine in ENGINES.items():
                context.progress(done, cell.rounds, name)
                with tempfile.TemporaryDirectory() as folder:
                    began = time.perf_counter()
                    rows = run(work, cells, Store(Path(folder)), engine=engine)
                    seconds[name].append(time.perf_counter() - began)
                results.append([(row.id, row.settings, row.result, row.artefacts) for row in rows])
            unequal += sum(ours != theirs for ours, theirs in zip(*results, strict=True))
        return {"wall_s": seconds, "rows_unequal": unequal}

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (
                cite(row.seed, row),
                *(cite(statistics.median(row.result["wall_s"][name]), row, form=".1f", unit="s") for name in ENGINES),
                cite(statistics.median(ratios(row)), row, form=".2f"),
                cite(row.result["rows_unequal"], row),
            )
            for row in rows
        ]
        columns = ("seed", "one after the other", f"on {WORKERS} workers", "ratio", "rows that differ")
        return Page("Engines", self.summary, (Table("Median wall time of a run", columns, lines),))


def ratios(row: Row) -> list[float]:
    """The speed-up in each round: neighbours in time had the same machine."""
    seconds = row.result["wall_s"]
    return [alone / together for alone, together in zip(*(seconds[name] for name in ENGINES), strict=True)]


def cells(quick: bool, seed: int) -> list[EnginesSettings]:
    if quick:
        return [EnginesSettings(seed=seed, sorts=60, rounds=1)]
    return [EnginesSettings(seed=each) for each in range(seed, seed + SEEDS)]


def figures(rows: Sequence[Row]) -> dict[str, Metric]:
    measured = [ratio for row in rows for ratio in ratios(row)]
    unequal = sum(row.result["rows_unequal"] for row in rows)
    return {
        "engine_speedup_2_workers": Metric(
            statistics.median(measured), min(measured), max(measured), "x wall time", ">= 1.7"
        ),
        "engine_rows_unequal": Metric(unequal, unit="rows", goal="<= 0"),
    }


if __name__ == "__main__":
    main(Engines(), cells, figures)
