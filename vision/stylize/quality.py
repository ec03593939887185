"""What a way of styling reaches on pairs: SSIM of luma, and PSNR of colours."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vision.data.quality import luma, psnr, ssim
from vision.stylize.pairs import Bytes, Pair

EQUAL = 99.0
"""PSNR of equal pictures, which is infinite: rows hold numbers."""
Style = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Pictures `(H, W, 3)` in [0, 1] to the same."""


def styled_bytes(style: Style, picture: Bytes) -> Bytes:
    """A picture in the style, rounded to the 256 levels of a file."""
    return np.asarray(np.rint(style(picture.astype(np.float32) / np.float32(255)).clip(0, 1) * 255), np.uint8)


def quality(style: Style, pairs: Sequence[Pair]) -> dict[str, list[float]]:
    """Of each pair: SSIM of luma, and PSNR in dB of the three colours together, `EQUAL` at most; of whole pictures."""
    images = [(styled_bytes(style, pair.picture).astype(np.float32), pair.styled.astype(np.float32)) for pair in pairs]
    return {
        "ssim": [ssim(_luma(actual), _luma(expected), border=0) for actual, expected in images],
        "psnr": [min(psnr(actual, expected, border=0), EQUAL) for actual, expected in images],
    }


def _luma(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return luma(pixels / np.float32(255))
