"""Small experiments that exercise the lab; run as `qwedge run lab_toys:Coin`."""

import os
import time
from collections.abc import Mapping, Sequence

from pydantic import Field

from shared.lab import (
    COLORS,
    JSON,
    Context,
    Download,
    Experiment,
    KeyFigures,
    Page,
    Row,
    Seeded,
    Table,
    Text,
    cite,
    plot,
    wilson,
)


class CoinSettings(Seeded):
    """A coin that every seed throws anew."""

    bias: float = Field(default=0.5, ge=0, le=1, description="chance of heads")
    throws: int = Field(default=100, gt=0)
    name: str = "penny"
    pause_s: float = Field(default=0.0, ge=0)
    steps: int = Field(default=4, gt=0)


class Coin(Experiment[CoinSettings]):
    """Throws a coin and counts heads."""

    name = "coin"
    version = 1

    def run(self, cell: CoinSettings, context: Context) -> Mapping[str, JSON]:
        if cell.name == "bent":
            raise ValueError("name=bent: this coin cannot be thrown; use a flat one")
        if cell.name == "bug":
            raise KeyError("no such side")
        if cell.name == "exit":
            os._exit(9)
        heads = []
        for step in range(cell.steps):
            heads.append(context.checkpoint(f"step {step}", lambda: self._throw(cell, context)))
            context.progress(step + 1, cell.steps, "throwing")
        context.artefact("heads.txt", repr(heads).encode())
        return {"heads": heads, "throws": cell.throws, "after": float(context.rng.random())}

    def _throw(self, cell: CoinSettings, context: Context) -> JSON:
        time.sleep(cell.pause_s)
        child = context.rng.spawn(1)[0]
        context.artefact(f"draw-{int(context.rng.integers(1000))}.txt", b"a draw")
        return int(child.binomial(cell.throws, cell.bias))

    def page(self, rows: Sequence[Row]) -> Page:
        lines = []
        for row in rows:
            rate = wilson(sum(row.result["heads"]), row.result["throws"] * len(row.result["heads"]))
            lines.append(
                (
                    row.settings["name"],
                    cite(row.seed, row),
                    cite(sum(row.result["heads"]), row),
                    cite(rate.value, row, form=".1%", low=rate.low, high=rate.high),
                )
            )
        heads = sum(sum(row.result["heads"]) for row in rows)

        def bars(axes):
            for index, row in enumerate(rows):
                axes.plot(
                    row.result["heads"], marker="o", color=list(COLORS.values())[index % 5], label=f"seed {row.seed}"
                )
            axes.set(xlabel="step", ylabel="heads")

        total = cite(heads, *rows)
        return Page(
            title="A coin, thrown",
            summary="How often a coin shows heads, by seed.",
            verdict=Text("Heads came up ", total, " times: see whether that is half."),
            blocks=(
                KeyFigures((("heads in all", total), ("seeds", cite(len(rows), *rows)))),
                Table(
                    "Heads by seed",
                    ("coin", "seed", "heads", "share"),
                    lines,
                    note="Wilson intervals, 95%.",
                    strong=(0,),
                ),
                plot(bars, *rows, title="Heads by step", caption="Each step is an independent draw."),
                Text("In all ", total, " heads were seen.", title="Reading"),
                *(Download("heads.txt", row, "raw counts") for row in rows),
            ),
        )


class WalkSettings(Seeded):
    """A random walk of tensors."""

    steps: int = Field(default=4, gt=0)
    pause_s: float = Field(default=0.0, ge=0)


class Walk(Experiment[WalkSettings]):
    """Takes random steps in three dimensions.

    Each stage goes on from the tensors of the one before, as training does from epoch to epoch.
    """

    name = "walk"
    version = 1

    def run(self, cell: WalkSettings, context: Context) -> Mapping[str, JSON]:
        at = context.tensors("start", lambda: self._start(context))
        lengths = []
        for step in range(cell.steps):
            lengths.append(context.stage(f"step {step}", lambda at=at, step=step: self._step(cell, context, at, step)))
            at = context.load_tensors(f"step {step}")
        return {"lengths": lengths, "end": at["x"], "count": at["count"]}

    def _start(self, context: Context) -> dict:
        import torch

        return {"x": torch.rand(3, 2, generator=context.generator()), "count": torch.tensor(0)}

    def _step(self, cell: WalkSettings, context: Context, at: dict, step: int) -> float:
        import torch

        time.sleep(cell.pause_s)
        move = torch.randn(3, 2, generator=context.generator())
        context.save_tensors(f"step {step}", {"x": at["x"] + move, "count": at["count"] + 1})
        return float(move.norm())

    def page(self, rows: Sequence[Row]) -> Page:
        return Page("A walk", "Random steps.", ())
