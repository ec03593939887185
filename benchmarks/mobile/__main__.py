"""Compiled nets beside ONNX Runtime, OpenVINO and MNN, one sample at a time; and how well times are predicted.

`python -m benchmarks.mobile [--quick] [--seed N] [--json FILE]`

All runtimes take turns in one process: each computes a sample untimed, then one that is timed, on one thread in CPU
seconds of the process, on two by a clock on the wall. Layers are measured in chains of three that are equal but for
their weights. Those are normal for ours and for peers alike: ours adds products in pairs where they fit into 16 bits,
so that its time depends on the weights. Times of ours include the way into and out of the arena's layout. Peers are
what is installed, MNN in floats alone: a row names those that are not. Weights are random, so no accuracy is claimed.
Rows of machines with and without VNNI must not be mixed: a row names the instructions.
"""

from collections.abc import Mapping, Sequence

from benchmarks.mobile.derived import figures
from benchmarks.mobile.layers import SHAPES, layer
from benchmarks.mobile.predictor import FAMILIES, predicted
from benchmarks.mobile.settings import MobileSettings
from benchmarks.mobile.sparse import (
    INT8_NETS,
    SPARSE_FLOATS,
    TWO_THREADS,
    int8_net,
    on_two_threads,
    sparse_float_net,
)
from benchmarks.mobile.whole import FLOAT_NETS, NETS, float_net, whole_net
from shared.lab import JSON, Context, Experiment, Page, Row, Table, cite, one_thread
from shared.lab.running.benchmark import main


class Mobile(Experiment[MobileSettings]):
    """Compiled nets beside the runtimes that are installed.

    One cell is one layer, net or family of nets.
    """

    name = "mobile"
    version = 4

    def run(self, cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
        one_thread()
        if cell.part == "predictor":
            return predicted(cell, context)
        parts = {
            "layer": layer,
            "net": whole_net,
            "float net": float_net,
            "sparse float net": sparse_float_net,
            "int8 net": int8_net,
            "two threads": on_two_threads,
        }
        return parts[cell.part](cell, context)

    def page(self, rows: Sequence[Row]) -> Page:
        lines = []
        for row in rows:
            times = row.result.get("median_ms") or {}
            lines += [
                (row.settings["part"], row.settings["subject"], cite(row.seed, row), name, cite(ms, row, form=".3g"))
                for name, ms in times.items()
            ]
        columns = ("part", "subject", "seed", "runtime", "median ms")
        return Page("Compiled nets beside other runtimes", self.summary, (Table("Times of a sample", columns, lines),))


def cells(quick: bool, seed: int) -> list[MobileSettings]:
    if quick:
        return [MobileSettings(part="layer", subject=shape, rounds=5, seed=seed) for shape in ("1x1 14", "3x3 14")]
    seeds = range(seed, seed + 3)
    layers = [MobileSettings(part="layer", subject=shape, seed=each) for each in seeds for shape in SHAPES]
    nets = [MobileSettings(part="net", subject=net, seed=seed) for net in NETS]
    nets += [MobileSettings(part="float net", subject=net, seed=seed) for net in FLOAT_NETS]
    nets += [MobileSettings(part="sparse float net", subject=net, seed=seed) for net in SPARSE_FLOATS]
    nets += [MobileSettings(part="int8 net", subject=net, seed=seed) for net in INT8_NETS]
    nets += [MobileSettings(part="two threads", subject=net, seed=seed) for net in TWO_THREADS]
    return [*layers, *nets, *(MobileSettings(part="predictor", subject=family, seed=seed) for family in FAMILIES)]


if __name__ == "__main__":
    main(Mobile(), cells, figures)
