"""Super-resolution in 8-bit integers: what the compiled libraries lose on Set5, and their speed beside other runtimes.

`python -m benchmarks.superres_int8 [--quick] [--seed N] [--json FILE]`

Pictures are taken from `sr` in the folder that the environment variable QWEDGE_DATA names; without it, nothing is run
and every figure is skipped. Seeds below `HELD_OUT` are for development. Times are of 640x360 pixels enlarged to 720p
on one thread, in CPU time, all runtimes in turn; peers are those that are installed.
"""

import sys
from collections.abc import Mapping, Sequence

from qwedge.experiments.superres_int8 import UpscaleInt8, UpscaleInt8Settings
from qwedge.experiments.superres_int8_page import best_peer, drops, fps, mean_psnr, speedups
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main, over_seeds
from vision.superres.sources import is_published

SEEDS = 1
HELD_OUT = 100
SKIPPED = "skipped: QWEDGE_DATA names no folder with pictures"
GOALS = {"int8_drop": "<= 0.1", "fps_720p": ">= 2"}
QUICK = UpscaleInt8Settings(steps=20, sparse_steps=20, height=90, width=160, rounds=3)


def cells(quick: bool, seed: int) -> Sequence[UpscaleInt8Settings]:
    settings = QUICK if quick else UpscaleInt8Settings()
    if settings.is_generated or not is_published(settings.folder):
        print(SKIPPED, file=sys.stderr)
        return []
    return settings.model_copy(update={"seed": HELD_OUT + seed, "seeds": SEEDS}).per_seed()


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """`fps_720p` is with blocks dropped, of a net that loses `int8_drop_sparse`; `fps_720p_dense` with all weights."""
    if not rows:
        return {name: Metric(None, unit=SKIPPED, goal=goal) for name, goal in GOALS.items()}
    about = {
        "int8_drop": over_seeds(drops(rows, "int8"), "dB", GOALS["int8_drop"]),
        "int8_drop_sparse": over_seeds(drops(rows, "sparse"), "dB"),
        "int8_drop_calibrated": over_seeds(drops(rows, "calibrated"), "dB"),
        "int8_drop_peer": over_seeds([mean_psnr(row, "float") - peer_psnr(row) for row in rows], "dB"),
        "fps_ours_dense": over_seeds([fps(row, "ours int8") for row in rows], "pictures/s"),
        "fps_ours_sparse": over_seeds([fps(row, "ours sparse") for row in rows], "pictures/s"),
        "fps_ours_float": over_seeds([fps(row, "ours float32") for row in rows], "pictures/s"),
    }
    for numbers in ("int8", "float32"):
        if peers := [peer for row in rows if (peer := best_peer(row, numbers))]:
            about[f"fps_peer_{numbers}"] = over_seeds(
                [fps(row, peer) for row, peer in zip(rows, peers, strict=True)], "pictures/s"
            )
    if speedups(rows, "sparse"):
        about["fps_720p"] = over_seeds(speedups(rows, "sparse"), "x", GOALS["fps_720p"])
        about["fps_720p_dense"] = over_seeds(speedups(rows, "int8"), "x")
    return about


def peer_psnr(row: Row) -> float:
    """In dB, of the integers of ONNX Runtime's tool."""
    return float(sum(row.result["peer_psnr"]) / len(row.result["peer_psnr"]))


if __name__ == "__main__":
    main(UpscaleInt8(), cells, figures)
