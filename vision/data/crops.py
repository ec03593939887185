"""Small pictures in rows, as PNG in base64, an eighth of the size of a list of numbers; and side by side on a page."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.lab import Figure, Row, plot
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


def side_by_side(row: Row, titles: Mapping[str, str], caption: str, **shown: Any) -> Figure:
    """The row's `crops` that there are of those in `titles`, in that order; `shown` as `imshow` takes it."""
    crops = row.result["crops"]
    names = [name for name in titles if name in crops]

    def paint(*every: Any) -> None:
        for axes, name in zip(every, names, strict=True):
            axes.imshow(of_text(crops[name]), interpolation="nearest", **shown)
            axes.set_title(titles[name])
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)

    caption = f"{caption}, seed {row.seed}."
    return plot(paint, row, title="Side by side", caption=caption, panels=len(names), size=(2.4, 2.6))
