"""A trained generator with what it takes to use it on pictures of any size, in tiles of bounded memory."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shared.core.task import Progress
from shared.lab import JSON
from shared.weights import described
from vision.data.picture import Picture
from vision.data.quality import WEIGHTS
from vision.data.tiles import tiles
from vision.pruning_search.rebuild import plain
from vision.stylize.nets import STRIDE, Generator, Shape

TILE = 512
"""Pixels of a tile's side, without what it shares with its neighbours."""
_KIND = "stylize"


@dataclass(frozen=True, eq=False)
class Stylizer:
    """`net`, a generator for use, whose pixels depend on those within `reach`. The same picture gives the same bits."""

    net: nn.Module
    reach: int

    def __call__(self, picture: Picture, tile: int = TILE, progress: Progress | None = None) -> Picture:
        """The picture in the style, of the same size, bits, transparency, EXIF and profile; a grey one stays grey.

        The result does not depend on `tile`: every tile is computed with the pixels around it that the net reads.
        """
        pixels = picture.pixels
        result = np.empty_like(pixels)
        parts = list(tiles(pixels, tile))
        for done, (rows, columns) in enumerate(parts, 1):
            # From a whole pixel of the trunk, so that every tile halves and quarters the same pixels together.
            top, left = (max(part.start - self.reach, 0) // STRIDE * STRIDE for part in (rows, columns))
            part = pixels[top : rows.stop + self.reach, left : columns.stop + self.reach]
            styled = self.styled(part.astype(np.float32) / np.float32(picture.peak))
            inside = styled[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            result[rows, columns] = np.rint(_in_colours(inside, pixels.shape[2]) * picture.peak)
            if progress is not None:
                progress(done, len(parts), "tiles")
        return replace(picture, pixels=result)

    @torch.no_grad()
    def styled(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(H, W, 1)` or `(H, W, 3)` in [0, 1] as `(H, W, 3)` in [0, 1]; sides are filled up to multiples of 4 by the
        last pixels.
        """
        height, width = pixels.shape[:2]
        fill = [(0, -side % STRIDE) for side in (height, width)]
        filled = np.broadcast_to(np.pad(pixels, (*fill, (0, 0)), "edge"), (height + fill[0][1], width + fill[1][1], 3))
        x = torch.from_numpy(np.ascontiguousarray(filled.transpose(2, 0, 1)))[None]
        y: NDArray[np.float32] = self.net.eval()(x)[0].numpy().transpose(1, 2, 0)
        return y[:height, :width].clip(0, 1)


def _in_colours(pixels: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Those of a colour picture, or as grey the luminance."""
    if channels == 3:
        return pixels
    return pixels @ (np.asarray(WEIGHTS, np.float32) / np.float32(sum(WEIGHTS)))[:, None]


def stylizer(net: Generator) -> Stylizer:
    """Of a net that was trained, with its norms in its convolutions."""
    return Stylizer(plain_net(net), net.reach)


def plain_net(net: Generator) -> nn.Module:
    """The net for use: batch norms are part of the convolutions."""
    return plain(net, torch.zeros(1, 3, 8, 8))


def to_bytes(net: Generator, about: Mapping[str, JSON] | None = None) -> bytes:
    """A safetensors file of a net for use, with its shape and `about` as JSON in the metadata; numbers of 16 bits."""
    head = {"shape": asdict(net.shape), **(about or {})}
    return described.to_bytes({name: value.half() for name, value in plain_net(net).state_dict().items()}, _KIND, head)


def from_bytes(data: bytes, source: str = "the weights") -> Stylizer:
    """The stylizer in a file of `to_bytes`. Raises `ValueError`, naming `source`, for another file."""
    try:
        tensors, head = described.from_bytes(data, _KIND)
        net = Generator(Shape(**{name: int(value) for name, value in head["shape"].items()}))
        used = plain_net(net)
        used.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        line = str(error).partition("\n")[0]
        raise ValueError(f"{source}: not the weights of a net of `qwedge run stylize`: {line}") from None
    return Stylizer(used.eval(), net.reach)
