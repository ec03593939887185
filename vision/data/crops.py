"""Small pictures in rows: as PNG in base64, an eighth of the size of a list of numbers."""

import base64
import io

import numpy as np
from numpy.typing import NDArray

from vision.data.pillow import import_pillow


def to_text(pixels: NDArray[np.generic]) -> str:
    """Whole numbers from 0 to 255, `(H, W)` or `(H, W, 3)`, as text.

    >>> of_text(to_text(np.array([[0, 255], [16, 235]]))).tolist()
    [[0, 255], [16, 235]]
    """
    data = io.BytesIO()
    import_pillow().fromarray(pixels.astype(np.uint8)).save(data, "png", optimize=True)
    return base64.b64encode(data.getvalue()).decode()


def of_text(text: str) -> NDArray[np.uint8]:
    """The numbers of `to_text`."""
    pixels: NDArray[np.uint8] = np.asarray(import_pillow().open(io.BytesIO(base64.b64decode(text))))
    return pixels
