"""Trained nets of pip packages on Set5 beside the nets that ship: PSNR, and milliseconds in ONNX Runtime.

`python -m benchmarks.superres_packages [--quick] [--json FILE]`

Pictures are taken from `sr` in the folder that the environment variable QWEDGE_DATA names; without it, nothing is run
and every figure is skipped. Packages that are not installed are left out, and the page names them. Times are of 640x360
pixels on one thread, in CPU time, all nets in turn.
"""

import sys
from collections.abc import Mapping, Sequence

from qwedge.experiments.superres_packages import Packages, PackagesSettings
from qwedge.experiments.superres_packages_page import leads, mean_of, packaged, time_ratios
from shared.lab import Row
from shared.lab.running.benchmark import Metric, main
from vision.superres.sources import is_published

SKIPPED = "skipped: QWEDGE_DATA names no folder with pictures"
SCALES = (2, 4)
QUICK = PackagesSettings(height=90, width=160, rounds=1)


def cells(quick: bool, seed: int) -> Sequence[PackagesSettings]:
    settings = QUICK if quick else PackagesSettings()
    if settings.is_generated or not is_published(settings.folder):
        print(SKIPPED, file=sys.stderr)
        return []
    return [settings.model_copy(update={"scale": scale, "seed": seed}) for scale in SCALES]


def figures(rows: Sequence[Row]) -> Mapping[str, Metric]:
    """By scale and net; the names of nets in small letters, up to their first dash."""
    about: dict[str, Metric] = {}
    for row in rows:
        scale = f"x{row.result['scale']}"
        about[f"psnr_shipped_{scale}"] = Metric(mean_of(row, "shipped", "psnr"), unit="dB")
        for name in packaged(row):
            key = f"{name.partition('-')[0].lower()}_{scale}"
            about[f"psnr_{key}"] = Metric(mean_of(row, name, "psnr"), unit="dB")
            about[f"lead_{key}"] = Metric(leads([row], name)[0], unit="dB")
            about[f"ms_{key}"] = Metric(time_ratios([row], name)[0], unit="x ours")
    return about


if __name__ == "__main__":
    main(Packages(), cells, figures)
