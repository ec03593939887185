"""Whether tests see: each planted fault must make the test fail that holds its place.

`python -m benchmarks.mutants [--quick] [--json FILE]`

The faults stand in `mutants.toml`: a file, its text before and after, and the tests that must fail. Each is planted in
a copy of the checkout; the same tests must pass in the copy without it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from shared.lab import JSON, Context, Experiment, Page, Row, Settings, Table, cite, hash_file
from shared.lab.running.benchmark import Metric, main

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks" / "mutants.toml"
SECONDS = 900
"""The longest that the tests of one fault may take."""


class MutantSettings(Settings):
    """One fault, and the tests that it must fail."""

    name: str = "last step of ADMM"
    file: str = Field(default="", description="the file, from the root of the checkout")
    old: str = Field(default="", description="its text, which must stand there once")
    new: str = Field(default="", description="the text in its place")
    tests: str = Field(default="", description="what pytest runs, separated by blanks")


class Mutants(Experiment[MutantSettings]):
    """Faults planted on purpose, and whether tests see them.

    One cell is one fault.
    """

    name = "mutants"
    version = 1

    def data(self, cell: MutantSettings) -> Mapping[str, str]:
        files = {cell.file, *(node.partition("::")[0] for node in cell.tests.split())}
        return {file: hash_file(ROOT / file) for file in sorted(files)}

    def run(self, cell: MutantSettings, context: Context) -> Mapping[str, JSON]:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "checkout"
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "runs", "build", "results"))
            whole = passes(cell.tests, copy)
            plant(copy / cell.file, cell.old, cell.new)
            return {"passes_without": whole, "fails_with": not passes(cell.tests, copy)}

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (row.settings["name"], row.settings["file"], cite("killed" if killed(row) else "survives", row))
            for row in rows
        ]
        return Page("Mutants", self.summary, (Table("Planted faults", ("fault", "file", "tests"), lines),))


def plant(path: Path, old: str, new: str) -> None:
    """Replace the one `old` in the file; raises ValueError where the code has moved on."""
    text = path.read_text()
    if (count := text.count(old)) != 1:
        raise ValueError(f"{path.name} has {old!r} {count} times and needs it once: bring mutants.toml up to date")
    path.write_text(text.replace(old, new))


def passes(tests: str, folder: Path) -> bool:
    """Whether pytest passes in `folder`; raises RuntimeError where it runs no test at all."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests.split()]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
    # 0: all passed; 1: some failed; 2: a fault that breaks the import of the tests is seen as well.
    if ended.returncode not in (0, 1, 2) or " skipped" in ended.stdout.splitlines()[-1]:
        raise RuntimeError(f"pytest {tests} did not run: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return ended.returncode == 0


def killed(row: Row) -> bool:
    """Whether the tests pass without the fault and fail with it."""
    return bool(row.result["passes_without"] and row.result["fails_with"])


def cells(quick: bool, seed: int) -> list[MutantSettings]:
    mutants = [MutantSettings(**entry) for entry in tomllib.loads(TABLE.read_text())["mutant"]]
    return mutants[:1] if quick else mutants


def figures(rows: Sequence[Row]) -> dict[str, Metric]:
    alive = sum(not killed(row) for row in rows)
    return {
        "mutants_killed": Metric(len(rows) - alive, unit="faults", goal=">= 14"),
        "mutants_surviving": Metric(alive, unit="faults", goal="<= 0"),
    }


if __name__ == "__main__":
    main(Mutants(), cells, figures)
