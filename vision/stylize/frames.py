"""Frames of a video in a style: from luma and colour differences to colours, and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.data.picture import Picture
from vision.data.video import Frame
from vision.stylize.stylizer import TILE, Stylizer

RED, BLUE = 0.2126, 0.0722
"""Of luma, in BT.709."""
_LOW, _LUMA, _COLOUR = 16, 219, 224
"""The level of black, and the steps of luma and of a colour difference in the limited range."""


def styled_frame(frame: Frame, stylizer: Stylizer, tile: int = TILE) -> Frame:
    """The same frame gives the same bits, as with pictures."""
    return from_colours(stylizer(Picture(to_colours(frame)), tile).pixels)


def to_colours(frame: Frame) -> NDArray[np.uint8]:
    """Red, green and blue of 8 bits `(H, W, 3)`; each colour difference is that of four pixels."""
    height, width = frame[0].shape
    y = (frame[0].astype(np.float32) - _LOW) / _LUMA
    blue, red = (
        ((plane.astype(np.float32) - 128) / _COLOUR).repeat(2, 0).repeat(2, 1)[:height, :width] for plane in frame[1:]
    )
    r, b = y + 2 * (1 - RED) * red, y + 2 * (1 - BLUE) * blue
    g = (y - RED * r - BLUE * b) / (1 - RED - BLUE)
    return _levels(255 * np.stack((r, g, b), 2))


def from_colours(pixels: NDArray[np.uint8]) -> Frame:
    """Each colour difference is the mean of four pixels; the last ones are repeated beyond odd sides."""
    r, g, b = np.moveaxis(pixels.astype(np.float32) / 255, 2, 0)
    y = RED * r + (1 - RED - BLUE) * g + BLUE * b
    differences = ((b - y) / (2 * (1 - BLUE)), (r - y) / (2 * (1 - RED)))
    blue, red = (_levels(128 + _COLOUR * _halved(plane)) for plane in differences)
    return _levels(_LOW + _LUMA * y), blue, red


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), "edge")
    halved: NDArray[np.float32] = even.reshape((height + 1) // 2, 2, (width + 1) // 2, 2).mean((1, 3))
    return halved


def _levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(values).clip(0, 255), np.uint8)
