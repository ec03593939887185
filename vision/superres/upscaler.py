"""A trained net with what it takes to use it on pictures of any size, in tiles of bounded memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shared.core.task import Progress
from shared.lab import JSON
from shared.weights import described
from vision.data.picture import Picture
from vision.data.quality import WEIGHTS, luma
from vision.data.tiles import around, tiles
from vision.pruning_search.rebuild import plain
from vision.superres.bicubic import REACH, as_integers, resized
from vision.superres.nets import PlainNet, Supernet, WideNet

TILE = 256
"""Pixels of a tile's side, without the border that it shares with its neighbours."""
_KIND = "superres"
_NARROWED = ("what the net adds to 16 bits is computed from 8 of them, in integers",)
_FULL = 255 / sum(WEIGHTS)
"""From a difference in luma to one in each colour: 219 steps of luma are 255 of a colour."""


@dataclass(frozen=True, eq=False)
class Upscaler:
    """`net` enlarges luma `scale` times; the colours follow bicubically, and get the net's detail added."""

    net: nn.Module
    scale: int
    integers: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None
    """Computes the net in 8-bit integers, from levels of luma `(H, W)` to those of the enlarged plane."""

    def __call__(self, picture: Picture, tile: int = TILE, progress: Progress | None = None) -> Picture:
        """The picture at `scale` times its size, of the same bits, transparency, EXIF and profile.

        Neither memory beyond the two pictures nor the result depends on `tile`: every tile is computed with the pixels
        around it that the net reads, and a picture's last pixels are repeated beyond its border.
        """
        planes = [picture.pixels] if picture.alpha is None else [picture.pixels, picture.alpha[..., None]]
        counts = [len(list(tiles(plane, tile))) for plane in planes]
        done, results = 0, []
        for plane in planes:
            height, width, channels = plane.shape
            s = self.scale
            result = np.empty((s * height, s * width, channels), plane.dtype)
            for rows, columns in tiles(plane, tile):
                part = self._enlarged(around(plane, rows, columns, self.reach))
                result[s * rows.start : s * rows.stop, s * columns.start : s * columns.stop] = part
                done += 1
                if progress is not None:
                    progress(done, sum(counts), "tiles")
            results.append(result)
        alpha = None if picture.alpha is None else results[1][..., 0]
        notes = _NARROWED if self.integers is not None and picture.peak > 255 else ()
        return replace(picture, pixels=results[0], alpha=alpha, notes=picture.notes + notes)

    def plane(self, y: NDArray[np.float32], tile: int = TILE) -> NDArray[np.float32]:
        """Luma `(H, W)` of peak 255 at `scale` times the size, in tiles as pictures are, not rounded."""
        s, border = self.scale, self.scale * self.reach
        result = np.empty((s * y.shape[0], s * y.shape[1]), np.float32)
        for rows, columns in tiles(y, tile):
            part = self.luma(around(y, rows, columns, self.reach))[border:-border, border:-border]
            result[s * rows.start : s * rows.stop, s * columns.start : s * columns.stop] = part
        return result

    @property
    def reach(self) -> int:
        """Pixels on every side that an enlarged pixel depends on."""
        return max(REACH, reach(self.net))

    def _enlarged(self, part: NDArray[Any]) -> NDArray[Any]:
        """A part without its border, enlarged."""
        peak = np.float32(np.iinfo(part.dtype).max)
        unit = part.astype(np.float32) / peak
        y = luma(unit)
        border = self.scale * self.reach
        inside = (slice(border, -border), slice(border, -border))
        detail = (self.luma(y) - resized(y, self.scale))[inside] * np.float32(_FULL / 255)
        return as_integers((resized(unit, self.scale)[inside] + detail[..., None]) * peak, part.dtype)

    @torch.no_grad()
    def luma(self, y: NDArray[np.float32]) -> NDArray[np.float32]:
        """Luma `(H, W)` of peak 255 at `scale` times the size; beyond the border is black.

        Integers read it rounded to levels, and return levels.
        """
        if self.integers is not None:
            return self.integers(np.rint(y).clip(0, 255).astype(np.uint8)).astype(np.float32)
        x = torch.from_numpy(np.ascontiguousarray(y))[None, None] / 255
        result: NDArray[np.float32] = self.net.eval()(x)[0, 0].numpy() * np.float32(255)
        return result


def plain_net(net: Supernet) -> nn.Module:
    """The net for use, its blocks of branches merged."""
    return plain(net, torch.zeros(1, 1, 8, 8))


def to_bytes(net: Supernet, about: Mapping[str, JSON] | None = None) -> bytes:
    """A safetensors file of a net for use, with its sizes and `about` as JSON in the metadata."""
    head = {"scale": net.scale, **dict(zip(net.names, net.sizes, strict=True)), **(about or {})}
    return described.to_bytes(plain_net(net).state_dict(), _KIND, head)


def from_bytes(data: bytes, source: str = "the weights") -> Upscaler:
    """The upscaler in a file of `to_bytes`. Raises `ValueError`, naming `source`, for another file."""
    try:
        tensors, head = described.from_bytes(data, _KIND)
        kind = WideNet if set(WideNet.names) <= set(head) else PlainNet
        net = plain_net(kind(int(head["scale"]), *(int(head[name]) for name in kind.names)))
        net.load_state_dict(tensors)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        line = str(error).partition("\n")[0]
        raise ValueError(f"{source}: not the weights of a net of `qwedge run superres`: {line}") from None
    return Upscaler(net.eval(), int(head["scale"]))


def reach(net: nn.Module) -> int:
    """How far the convolutions of a net without strides see, one after the other, in pixels of its input.

    >>> reach(plain_net(PlainNet(2, width=4, depth=3)))
    5
    """
    total = 0
    for layer in net.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            total += (layer.kernel_size[0] // 2 + layer.stride[0] - 1) // layer.stride[0]
        elif isinstance(layer, nn.Conv2d):
            total += layer.kernel_size[0] // 2
    return total
