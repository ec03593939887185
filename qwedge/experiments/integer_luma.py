"""Luma enlarged by a compiled library of 8-bit integers."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from mobile.build.compile import compile_program
from mobile.kernels import sources
from mobile.runtime.compiler import FLAGS, find, version
from mobile.runtime.net import CompiledNet
from shared.integer import Program
from shared.integer.files import to_json
from shared.lab import JSON, cache_folder, canonical, hash_bytes, write_atomic
from vision.superres.integers import enlarging_program, fixed_net
from vision.superres.patches import pair
from vision.superres.sources import generated
from vision.superres.training import epoch_of
from vision.superres.upscaler import Upscaler

PATCH, BATCHES = 16, 16
"""Pixels of a side, and batches, of the patches that number formats are calibrated on."""
CHECKED = 2
"""Random planes on which a library is compared with its program, beside its ends."""


@dataclass(eq=False)
class IntegerLuma:
    """Levels of luma `(H, W)` to those of the enlarged plane, by a library that `qwedge compile` would make.

    A library is for one plane. It is compiled where a plane comes that is larger than any before, in seconds, checked
    against the program, and kept in the cache; smaller planes stand in its corner, with black beyond them.
    """

    program: Callable[[tuple[int, int]], Program]
    """Of a plane."""
    scale: int
    format: str = "dense"
    """Of the weights: dense, 2x4 or 1x4."""
    net: CompiledNet | None = field(default=None, init=False)

    def __call__(self, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        plane = (0, 0) if self.net is None else self.net.program.inputs[0].shape[1:]
        if levels.shape[0] > plane[0] or levels.shape[1] > plane[1]:
            plane = (max(levels.shape[0], plane[0]), max(levels.shape[1], plane[1]))
            self.net = compiled(self.program(plane), self.format)
        assert self.net is not None
        x = np.zeros((1, 1, *plane), np.uint8)
        x[0, 0, : levels.shape[0], : levels.shape[1]] = levels
        y = np.empty((1, self.scale * plane[0], self.scale * plane[1]), np.uint8)
        self.net.run([x], [y])
        return y[0, : self.scale * levels.shape[0], : self.scale * levels.shape[1]]


def in_integers(upscaler: Upscaler) -> Upscaler:
    """The same upscaler, computing in 8-bit integers, calibrated on generated pictures."""
    pairs = [pair(name, pixels, upscaler.scale) for name, pixels in generated().train.items()]
    batches = epoch_of(pairs, upscaler.scale, PATCH, BATCHES, torch.Generator().manual_seed(0))
    fixed = fixed_net(upscaler.net, torch.cat([small for small, _ in batches])).eval()
    return replace(upscaler, integers=IntegerLuma(lambda plane: enlarging_program(fixed, plane), upscaler.scale))


def compiled(program: Program, format: str) -> CompiledNet:
    """The library of a program, from the cache if it was compiled before by this compiler with these kernels."""
    about: dict[str, JSON] = {"program": to_json(program), "format": format, "compiler": version(find())}
    about |= {"kernels": {name: hash_bytes(data) for name, data in sources().items()}, "flags": list(FLAGS)}
    path = cache_folder() / "mobile" / f"net-{hash_bytes(canonical(about).encode())[:24]}.so"
    if not path.exists():
        rng = np.random.default_rng(0)
        write_atomic(path, compile_program(program, rng, format=format, count=CHECKED).shared_library)
    return CompiledNet(path, program)
