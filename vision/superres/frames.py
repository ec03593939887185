"""Frames of a video enlarged: luma by the net, colours bicubically."""

import numpy as np

from vision.data.video import Frame
from vision.superres.bicubic import as_integers, resized
from vision.superres.upscaler import TILE, Upscaler


def enlarged_frame(frame: Frame, upscaler: Upscaler, tile: int = TILE) -> Frame:
    """Planes of `scale` times the size; colours that are half a pixel too large are cut."""
    luma = as_integers(upscaler.plane(frame[0].astype(np.float32), tile), np.uint8)
    rows, columns = ((side + 1) // 2 for side in luma.shape)
    first, second = (as_integers(resized(it, upscaler.scale), np.uint8)[:rows, :columns] for it in frame[1:])
    return luma, first, second
