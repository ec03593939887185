"""Every page as a reader meets it: whether anything overflows or overlaps, on a desk's screen and on a telephone's.

`python -m benchmarks.pages [--quick] [--seed N] [--json FILE]`

Pages are made from the rows of the other benchmarks in `benchmarks/results`, and those of noise reports from
`benchmarks/rows`. Needs Chromium.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import Field

from benchmarks.browser import layout_faults
from benchmarks.fpga import FPGA
from qwedge.catalogue import load
from shared.lab import JSON, Context, Experiment, Page, Row, Settings, Store, Table, Text, cite, hash_bytes, render
from shared.lab.running.benchmark import Metric, main

HERE = Path(__file__).parent
WIDTHS: Final = (1280, 390)
"""CSS pixels of a window on a desk, and of a telephone."""

Name = Literal[
    "compvqc",
    "noise",
    "noise_over_days",
    "noise_energy",
    "ofdm",
    "f8net",
    "solvers",
    "synth",
    "ofdm_fpga",
    "radar",
    "radar_waveforms",
    "pruning_search",
    "slimming",
    "continual",
    "superres",
    "stylize",
]


class PagesSettings(Settings):
    """One page in one window."""

    page: Name = Field(default="ofdm", description="which page")
    width: int = Field(default=WIDTHS[0], gt=0, description="CSS pixels of the window")


class Pages(Experiment[PagesSettings]):
    """Render every page in headless Chromium and count what overflows or overlaps.

    One cell is one page at one width.
    """

    name = "pages"
    version = 1

    def data(self, cell: PagesSettings) -> Mapping[str, str]:
        return {"page": hash_bytes(html(cell.page).encode())}

    def run(self, cell: PagesSettings, context: Context) -> Mapping[str, JSON]:
        [faults] = layout_faults({cell.page: html(cell.page)}, [cell.width]).values()
        return {"faults": list(faults)}

    def page(self, rows: Sequence[Row]) -> Page:
        lines = [
            (
                row.settings["page"],
                cite(row.settings["width"], row, unit="px"),
                cite(len(row.result["faults"]), row),
                "; ".join(row.result["faults"][:3]),
            )
            for row in rows
        ]
        bad = cite(sum(bool(row.result["faults"]) for row in rows), *rows)
        return Page(
            "Pages",
            self.summary,
            [Table("Every page", ("page", "window", "faults", "the first of them"), lines)],
            Text("Of ", cite(len(rows), *rows), " pages and widths, ", bad, " overflow or have overlapping text."),
        )


def rows_of(name: Name, few: bool = False) -> tuple[Experiment[Any], list[Row]]:
    """The experiment whose page it is and its rows; of the first three groups of rows only two, if asked."""
    if name.startswith("noise"):
        lines = (HERE / "rows" / f"{name}.jsonl").read_text().splitlines()
        return load("noise"), [Row(**json.loads(line)) for line in lines]
    if name == "radar_waveforms":
        return load("radar"), _stored("radar")
    rows = _stored("fpga" if name in PARTS else name)
    if name in PARTS:
        rows = [row for row in rows if row.settings["part"] in PARTS[name]]
    if few:
        groups = list(dict.fromkeys(_group(row) for row in rows))[:3]
        rows = [row for group in groups for row in [row for row in rows if _group(row) == group][:2]]
    return FPGA() if name == "radar" else load(name), rows


def _group(row: Row) -> tuple[Any, ...]:
    return tuple(row.settings.get(key) for key in ("task", "target", "circuit", "part", "domain"))


PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "synth": ("bits", "radar"),
    "ofdm_fpga": ("estimator",),
    "radar": ("sparse", "radar"),
}
"""The parts of the FPGA benchmark whose rows these pages show."""


def _stored(benchmark: str) -> list[Row]:
    """The stored rows, without their files."""
    rows = json.loads((HERE / "results" / f"{benchmark}.json").read_text())["rows"]
    return [Row(**{**row, "artefacts": {}}) for row in rows]


@cache
def html(name: Name) -> str:
    """The page as HTML text."""
    experiment, rows = rows_of(name)
    return render(experiment.page(rows), rows, Store(HERE))


def cells(quick: bool, seed: int) -> Sequence[PagesSettings]:
    names: Sequence[Name] = ("noise",) if quick else get_args(Name)
    return [PagesSettings(page=name, width=width) for name in names for width in WIDTHS]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    bad = sum(bool(row.result["faults"]) for row in rows)
    return {"pages_overflowing": Metric(bad, unit=f"of {len(rows)} pages and widths", goal="<= 0")}


if __name__ == "__main__":
    main(Pages(), cells, figures)
