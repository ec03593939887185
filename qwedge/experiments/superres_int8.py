"""What 8-bit integers cost a net that enlarges pictures, and how fast it is in them beside other runtimes."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from mobile.build.compile import compile_program
from mobile.build.compile_floats import compile_floats
from qwedge.experiments.integer_luma import IntegerLuma
from qwedge.experiments.runtimes import Run, interleaved, onnx_runtime, openvino, ours, statically_quantised
from qwedge.experiments.superres_int8_page import page
from shared.f8net import F8Net
from shared.integer.files import to_json
from shared.lab import JSON, Context, Experiment, Page, Row, hash_file, one_thread
from vision.data.quality import psnr
from vision.nets.onnx_file import to_onnx
from vision.superres.integers import InLevels, drop_blocks, enlarging_program, fixed_net
from vision.superres.patches import Pair, pair
from vision.superres.pretrained import pretrained
from vision.superres.sources import Pictured, Pixels, Source
from vision.superres.training import epoch_of, trainer
from vision.superres.upscaler import Upscaler, from_bytes
from vision.training.stages import epochs, whole_epochs

CALIBRATION = 16
"""Batches of patches by which number formats are set, ours and those of ONNX Runtime's tool."""
FORMATS = {"calibrated": "dense", "int8": "dense", "sparse": "2x4"}
"""Of the weights, by net."""


class UpscaleInt8Settings(Pictured):
    """The net, its training in integers, and the plane of the times."""

    scale: Literal[2, 4] = Field(default=2, description="how many times larger pictures become, of a net that ships")
    weights: str = Field(default="", description="a net of your own (.safetensors of `qwedge run superres`)")
    kept: float = Field(default=0.45, gt=0, le=1, description="share of the trunk's blocks of 2x4 weights that is kept")
    steps: int = Field(default=300, gt=0, description="training steps in integers")
    sparse_steps: int = Field(default=2000, gt=0, description="training steps in integers with blocks dropped")
    rate: float = Field(default=2e-4, gt=0, description="highest learning rate of Adam")
    sparse_rate: float = Field(default=1e-3, gt=0, description="highest learning rate with blocks dropped")
    size: int = Field(default=24, gt=7, description="side of a training patch, before it is enlarged")
    height: int = Field(default=360, gt=0, description="rows of the small picture that milliseconds are of")
    width: int = Field(default=640, gt=0, description="its columns")
    rounds: int = Field(default=9, gt=0, description="timed pictures of each runtime")


class UpscaleInt8(Experiment[UpscaleInt8Settings]):
    """Train a net that enlarges pictures in 8-bit integers, compile it, and time it beside other runtimes.

    One cell is one seed: the net calibrated, trained in integers, and trained with blocks of weights dropped; every
    PSNR is of what the compiled library returns.
    """

    name = "superres_int8"
    version = 1

    def data(self, cell: UpscaleInt8Settings) -> Mapping[str, str]:
        return cell.hashes() | ({"weights": hash_file(Path(cell.weights))} if cell.weights else {})

    def run(self, cell: UpscaleInt8Settings, context: Context) -> Mapping[str, JSON]:
        one_thread()
        return _Cell(cell, context).result()

    def page(self, rows: Sequence[Row]) -> Page:
        return page(rows)


class _Cell:
    """The stages of one cell."""

    def __init__(self, settings: UpscaleInt8Settings, context: Context) -> None:
        self.settings, self.context = settings, context
        self.upscaler = pretrained(settings.scale)
        if settings.weights:
            self.upscaler = from_bytes(Path(settings.weights).read_bytes(), settings.weights)
        self.scale, self.net = self.upscaler.scale, self.upscaler.net

    def result(self) -> Mapping[str, JSON]:
        s = self.settings
        dropped = copy.deepcopy(self.net)
        drop_blocks(dropped, s.kept)
        starts = {"calibrated": self.net, "int8": self.net, "sparse": dropped}
        fixed = {name: fixed_net(net, self.lumas) for name, net in starts.items()}
        self.train("int8", fixed["int8"], s.steps, s.rate)
        self.train("sparse", fixed["sparse"], s.sparse_steps, s.sparse_rate)
        reached: dict[str, JSON] = {"float": self.compared("float", self.upscaler.plane)}
        for name, net in fixed.items():
            library = IntegerLuma(lambda plane, net=net: enlarging_program(net, plane), self.scale, FORMATS[name])  # type: ignore[misc]
            reached[name] = self.compared(name, Upscaler(self.net, self.scale, library).plane)
            program = enlarging_program(net, (s.height, s.width))
            self.context.artefact(f"{name}.json", to_json(program).encode())
        timed: Any = self.context.stage("times", lambda: self.times(fixed))
        return {
            "data": self.pictures.about,
            "pictures": [it.name for it in self.tested],
            "net": s.weights or f"the net that ships for x{self.scale}",
            "scale": self.scale,
            "psnr": reached,
            **timed,
        }

    def train(self, name: str, fixed: F8Net, steps: int, rate: float) -> None:
        s = self.settings
        count, each = whole_epochs(steps)
        pairs = self.pairs(self.pictures.train)
        training = trainer(InLevels(fixed), count, rate)
        epochs(
            self.context, name, training, lambda: epoch_of(pairs, self.scale, s.size, each, self.context.generator())
        )

    def compared(self, name: str, plane: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> JSON:
        """PSNR of each picture in dB."""

        def reached() -> JSON:
            return [
                psnr(np.rint(plane(it.small)).clip(0, 255), it.large.astype(np.float32), border=self.scale)
                for it in self.tested
            ]

        result: JSON = self.context.stage(f"{name}, compared", reached)
        return result

    def times(self, fixed: Mapping[str, F8Net]) -> Mapping[str, JSON]:
        """Milliseconds of a plane, and what the best tool's integers reach."""
        s, rng = self.settings, np.random.default_rng(0)
        levels = rng.integers(0, 256, (1, 1, s.height, s.width))
        unit = (levels / 255).astype(np.float32)
        runs: dict[str, Run] = {}
        for name in ("int8", "sparse"):
            program = enlarging_program(fixed[name], (s.height, s.width))
            compiled = compile_program(program, rng, format=FORMATS[name], count=2)
            runs[f"ours {name}"] = ours(compiled.net, levels)
        floats = compile_floats(self.net, [(1, s.height, s.width)], rng, count=1)
        large = np.empty((1, 1, self.scale * s.height, self.scale * s.width), np.float32)
        runs["ours float32"] = lambda: floats.net.run([unit], [large])
        model = to_onnx(self.net, torch.zeros(1, 1, 8, 8), "enlarged", any_size=True)
        quantised = statically_quantised(model, [x[None].numpy() for x in self.lumas])
        missing = []
        for runtime, load in (("onnxruntime", onnx_runtime), ("openvino", openvino)):
            try:
                runs |= {f"{runtime} float32": load(model, unit), f"{runtime} int8": load(quantised, unit)}
            except ModuleNotFoundError:
                missing.append(f"{runtime}: not installed")
        return {
            "instructions": compiled.net.instructions,
            "plane": [s.height, s.width],
            "missing": missing,
            "peer_psnr": self.peer(quantised),
            **interleaved(runs, s.rounds),
        }

    def peer(self, model: bytes) -> list[float]:
        """PSNR of each picture in dB, of the integers of ONNX Runtime's tool in ONNX Runtime."""
        results = []
        for it in self.tested:
            large: Any = onnx_runtime(model, it.small[None, None] / np.float32(255))()
            actual = np.rint(large[0][0, 0] * 255).clip(0, 255)
            results.append(psnr(actual, it.large.astype(np.float32), border=self.scale))
        return results

    @cached_property
    def lumas(self) -> Tensor:
        """Patches that formats are calibrated on, `(B, 1, size, size)`."""
        generator = torch.Generator().manual_seed(0)
        batches = epoch_of(self.pairs(self.pictures.train), self.scale, self.settings.size, CALIBRATION, generator)
        return torch.cat([small for small, _ in batches])

    @cached_property
    def pictures(self) -> Source:
        return self.settings.source()

    @cached_property
    def tested(self) -> list[Pair]:
        return self.pairs(self.pictures.test)

    def pairs(self, pictures: Mapping[str, Pixels]) -> list[Pair]:
        return [pair(name, pixels, self.scale) for name, pixels in pictures.items()]
