"""Drawings of characters, framed: where on its sheet a hand wrote a character, and how large, says nothing of it."""

from typing import Any

from vision.data.pillow import import_pillow

MARGIN = 1.25
"""Side of the square that is kept, over the longer side of the strokes."""

SMALLEST = 0.4
"""Least side of that square, over the shorter side of the sheet: a dot does not become a disc."""

FRAME = f"square about the strokes, {MARGIN} of their longer side"
"""How drawings are framed, in words."""


def framed(sheet: Any, size: int) -> Any:
    """The square about the dark strokes of a grey `PIL.Image`, strokes bright, as one of `size` x `size` pixels.

    What lies beyond the sheet is blank. A sheet without strokes stays blank.
    """
    image = import_pillow()
    from PIL import ImageChops

    strokes = ImageChops.invert(sheet)
    left, top, right, bottom = strokes.getbbox() or (0, 0, *sheet.size)
    side = max(MARGIN * max(right - left, bottom - top), SMALLEST * min(sheet.size))
    border = round(side)
    wide = image.new("L", (sheet.width + 2 * border, sheet.height + 2 * border))
    wide.paste(strokes, (border, border))
    x, y = border + (left + right - side) / 2, border + (top + bottom - side) / 2
    return wide.resize((size, size), image.Resampling.BOX, box=(x, y, x + side, y + side))
