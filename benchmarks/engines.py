"""How much sooner eight cells are done on two worker processes than one after the other, on an otherwise idle machine.

`python -m benchmarks.engines [--quick] [--seed N] [--json FILE]`

A cell is a few seconds of NumPy on one core. All runs of a seed compute the same cells, each into a new folder; the
start of the workers is part of the time. Cores of one machine may differ in speed, so the cells are computed one
after the other on each of the two cores, and by the workers on the same two in between. What one core needs is the
harmonic mean, which two workers without any overhead would halve. What all write is compared as well: the rows must
be equal.
"""

import os
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
from shared.lab.running.benchmark import Metric, main, over_seeds

WORKERS = 2
SEEDS = 5


class WorkSettings(Seeded):
    """Work of one core."""

    sorts: int = Field(default=1400, gt=0, description="arrays of 100,000 numbers that a cell draws and sorts")


class Work(Experiment[WorkSettings]):
    """Work of one core for a few seconds.

    Draws and sorts in one array, so that a core computes and the system allocates nothing.
    """

    name = "work"
    version = 2

    def run(self, cell: WorkSettings, context: Context) -> Mapping[str, JSON]:
        medians, numbers = [], np.empty(100_000)
        for done in range(cell.sorts):
            context.rng.standard_normal(out=numbers)
            numbers.sort()
            medians.append(float(numbers[50_000]))
            context.progress(done + 1, cell.sorts, "sorting")
        return {"medians": medians}

    def page(self, rows: Sequence[Row]) -> Page:
        return Page("Work", self.summary, ())


class EnginesSettings(Settings):
    """How many cells each engine computes."""

    cells: int = Field(default=8, gt=0, description="cells of each run")
    sorts: int = Field(default=1400, gt=0, description="size of a cell; 1400 take about three seconds")


class Engines(Experiment[EnginesSettings]):
    """The same cells one after the other, and on two worker processes.

    One cell is both engines on the same cores.
    """

    name = "engines"
    version = 3

    def run(self, cell: EnginesSettings, context: Context) -> Mapping[str, JSON]:
        cores = sorted(os.sched_getaffinity(0))[:WORKERS]
        if len(cores) < WORKERS:
            raise ValueError(f"this process may use {len(cores)} core: needs {WORKERS}")
        runs: list[tuple[Engine, Sequence[int]]] = [(Local(), [core]) for core in cores]
        runs.insert(1, (Processes(WORKERS), cores))
        seconds, results = [], []
        for done, (engine, on) in enumerate(runs):
            context.progress(done, len(runs), f"{type(engine).__name__} on {len(on)} of {WORKERS} cores")
            wall_s, rows = timed(engine, on, WorkSettings(sorts=cell.sorts, seeds=cell.cells).per_seed())
            seconds.append(wall_s)
            results.append([(row.id, row.settings, row.result, row.artefacts) for row in rows])
        unequal = sum(any(row != rows[0] for row in rows) for rows in zip(*results, strict=True))
        first, together, second = seconds
        return {"one_core_s": [first, second], "workers_s": together, "rows_unequal": unequal}

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (
                cite(row.seed, row),
                *(cite(wall_s, row, form=".1f", unit="s") for wall_s in row.result["one_core_s"]),
                cite(row.result["workers_s"], row, form=".1f", unit="s"),
                cite(speed_up(row), row, form=".2f"),
                cite(row.result["rows_unequal"], row),
            )
            for row in rows
        ]
        columns = ("seed", "on one core", "on the other", f"on {WORKERS} workers", "speed-up", "rows that differ")
        return Page("Engines", self.summary, (Table("Wall time of a run", columns, lines),))


def timed(engine: Engine, cores: Sequence[int], cells: Sequence[WorkSettings]) -> tuple[float, list[Row]]:
    """The wall time (s) of `cells` on an engine that may use `cores` alone, and their rows."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            rows = run(Work(), cells, Store(Path(folder)), engine=engine)
            return time.perf_counter() - began, rows
    finally:
        os.sched_setaffinity(0, before)


def speed_up(row: Row) -> float:
    """How many times sooner the workers were done than a core of the mean speed of both."""
    return statistics.harmonic_mean(row.result["one_core_s"]) / float(row.result["workers_s"])


def cells(quick: bool, seed: int) -> list[EnginesSettings]:
    if quick:
        return [EnginesSettings(seed=seed, sorts=60)]
    return [EnginesSettings(seed=each) for each in range(seed, seed + SEEDS)]


def figures(rows: Sequence[Row]) -> dict[str, Metric]:
    unequal = sum(row.result["rows_unequal"] for row in rows)
    return {
        "engine_speedup_2_workers": over_seeds([speed_up(row) for row in rows], "x wall time", ">= 1.7"),
        "engine_rows_unequal": Metric(unequal, unit="rows", goal="<= 0"),
    }


if __name__ == "__main__":
    main(Engines(), cells, figures)
