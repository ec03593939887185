"""Bicubic resizing, luma, PSNR and SSIM: as Pillow where Pillow is right, as their definitions, and as published."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision.data.picture import read
from vision.data.quality import luma, psnr, ssim
from vision.superres.bicubic import as_integers, resized
from vision.superres.patches import pair
from vision.superres.training import quality

RNG = np.random.default_rng(0)
SCALES = [2, 3, 4, Fraction(1, 2), Fraction(1, 3), Fraction(1, 4), Fraction(2, 3)]


@pytest.mark.parametrize("scale", SCALES)
def test_inside_it_is_pillows_bicubic(scale):
    """Pillow leaves out what is beyond the border, where MATLAB mirrors; both widen the kernel to shrink."""
    plane = RNG.random((48, 60), np.float32)
    size = (int(60 * scale), int(48 * scale))
    expected = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
    actual = resized(plane, scale)
    assert actual.shape == expected.shape
    border = 10
    inside = (slice(border, -border), slice(border, -border)) if scale > 1 else (slice(3, -3), slice(3, -3))
    assert np.abs(actual - expected)[inside].max() < 1e-5


@pytest.mark.parametrize("scale", SCALES)
def test_beyond_the_border_the_picture_is_mirrored(scale):
    plane = RNG.random((12, 12, 3), np.float32)
    whole = resized(np.pad(plane, ((12, 12), (12, 12), (0, 0)), "symmetric"), scale)
    height = len(resized(plane, scale))
    assert np.abs(whole[height : 2 * height, height : 2 * height] - resized(plane, scale)).max() < 1e-5
    assert np.abs(resized(np.full((1, 1), 0.25), scale) - 0.25).max() < 1e-6


def test_pixels_are_rounded_and_clipped():
    assert as_integers(np.float32([-3, 1.4, 1.6, 300]), np.uint8).tolist() == [0, 1, 2, 255]


def test_luma_of_grey_is_that_of_equal_colours():
    grey = RNG.random((4, 5, 1), np.float32)
    assert np.abs(luma(grey) - luma(np.repeat(grey, 3, 2))).max() < 1e-4
    assert luma(np.zeros((1, 1, 3), np.float32))[0, 0] == 16


def test_psnr_leaves_out_the_border():
    plane = np.zeros((10, 10), np.float32)
    wrong = plane.copy()
    wrong[0] = 255
    assert psnr(wrong, plane, border=1) == float("inf")
    assert psnr(plane + 1, plane, border=2) == pytest.approx(20 * np.log10(255))


def test_ssim_is_its_definition_window_by_window():
    x, y = (RNG.random((15, 14), np.float32) * 255 for _ in range(2))
    axis = np.arange(11) - 5
    window = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for row in range(1, 4):
        for column in range(1, 3):
            a, b = (part[row : row + 11, column : column + 11].astype(float) for part in (x, y))
            means = (window * a).sum(), (window * b).sum()
            variances = (window * (a - means[0]) ** 2).sum(), (window * (b - means[1]) ** 2).sum()
            covariance = (window * (a - means[0]) * (b - means[1])).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            values.append(
                (2 * means[0] * means[1] + c1)
                * (2 * covariance + c2)
                / ((means[0] ** 2 + means[1] ** 2 + c1) * (sum(variances) + c2))
            )
    assert ssim(x, y, border=1) == pytest.approx(np.mean(values))
    assert ssim(x, x, border=1) == pytest.approx(1)
    with pytest.raises(ValueError, match="SSIM needs 11x11 pixels inside the border, got 8x9"):
        ssim(x, y, border=3)


@pytest.mark.data
@pytest.mark.skipif("QWEDGE_DATA" not in os.environ, reason="QWEDGE_DATA names no folder")
@pytest.mark.parametrize(("scale", "db", "similarity"), [(2, 33.66, 0.9299), (3, 30.39, 0.8682), (4, 28.42, 0.8104)])
def test_bicubic_on_set5_is_as_published(scale, db, similarity):
    """J. Kim et al., VDSR (arXiv 1511.04587), table 3, by MATLAB."""
    folder = Path(os.environ["QWEDGE_DATA"]) / "sr" / "Set5"
    pairs = [pair(path.name, read(path).unit(), scale) for path in sorted(folder.glob("*.png"))]
    reached = {name: np.mean(values) for name, values in quality(None, pairs, scale).items()}
    assert reached["psnr"] == pytest.approx(db, abs=0.005)
    assert reached["ssim"] == pytest.approx(similarity, abs=5e-5)
