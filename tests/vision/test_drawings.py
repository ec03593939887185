"""Drawings of characters: framed, a character is the same wherever and however large it was written."""

import numpy as np
import pytest
from PIL import Image

from vision.data.drawings import framed


def sheet(left, top, unit):
    """A grey sheet of 105x90 with an L whose strokes are `unit` wide and four times as long."""
    pixels = np.full((90, 105), 255, np.uint8)
    pixels[top : top + 4 * unit, left : left + unit] = 0
    pixels[top + 3 * unit : top + 4 * unit, left : left + 4 * unit] = 0
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("left", "top", "unit"), [(0, 0, 10), (65, 50, 10), (3, 7, 20), (20, 9, 14)])
def test_a_character_is_framed_to_the_same_picture_from_any_place_and_of_any_size(left, top, unit):
    expected = np.zeros((20, 20))
    expected[2:18, 2:6] = expected[14:18, 2:18] = 255
    assert np.abs(np.asarray(framed(sheet(left, top, unit), 20)) - expected).max() <= 1


def test_a_dot_stays_one_and_a_blank_sheet_blank():
    dot = np.asarray(framed(sheet(50, 40, 1), 36))
    assert dot.any(axis=0).sum() == dot.any(axis=1).sum() == 4
    assert not np.asarray(framed(Image.new("L", (30, 20), 255), 8)).any()
