"""Varied pictures are moved and mirrored ones, by every distance alike, and inputs are the bytes themselves."""

import numpy as np
import pytest
import torch
from pictures import coloured_noise
from PIL import Image

from vision.data.augment import PAD, PIXEL, Augmented, as_input, flipped_and_cropped, warped
from vision.data.cifar10 import Images
from vision.data.trivial import OPERATIONS, operation, trivially_augmented


def test_every_varied_picture_is_a_moved_and_maybe_mirrored_one():
    pixels = torch.from_numpy(coloured_noise(20).pixels)
    varied = flipped_and_cropped(pixels, torch.Generator().manual_seed(0))
    assert varied.shape == pixels.shape
    assert varied.dtype == torch.uint8
    found = []
    for picture, after in zip(pixels.numpy(), varied.numpy(), strict=True):
        padded = np.pad(picture, ((PAD, PAD), (PAD, PAD), (0, 0)))
        ways = [
            (down, right, mirrored)
            for down in range(2 * PAD + 1)
            for right in range(2 * PAD + 1)
            for mirrored in (False, True)
            if np.array_equal(after, padded[down : down + 32, right : right + 32][:, :: -1 if mirrored else 1])
        ]
        assert len(ways) == 1
        found += ways
    assert {down for down, *_ in found} == {right for _, right, _ in found} == set(range(2 * PAD + 1))
    assert 0.4 < np.mean([mirrored for *_, mirrored in found]) < 0.6


def test_the_generator_alone_decides():
    pixels = torch.from_numpy(coloured_noise(2).pixels)
    one, same, other = (flipped_and_cropped(pixels, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_warped_character_is_the_same_stroke_moved_a_little_and_never_mirrored():
    """A hook in one corner stays nearer to that corner than to the mirrored ones, and stays in the picture."""
    pixels = torch.zeros(200, 28, 28, 1, dtype=torch.uint8)
    pixels[:, 8:12, 8:20] = pixels[:, 8:16, 8:11] = 255
    one, same = (warped(pixels, torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(one, same)
    assert one.shape == (200, 1, 28, 28)
    assert 0 <= one.min() <= one.max() < 1
    assert not torch.equal(one[0], one[1])
    mass = one.sum((1, 2, 3)) / as_input(pixels[:1]).sum()
    assert 0.6 < mass.min() < 0.9 < 1.1 < mass.max() < 1.6
    rows, columns = (one.sum(axis).squeeze(1) @ torch.arange(28.0) / one.sum((1, 2, 3)) for axis in (3, 2))
    assert rows.max() < 14
    assert columns.max() < 16
    assert rows.std() > 0.5 < columns.std()
    varied, _ = Augmented(Images(pixels.numpy(), np.zeros(200, int)), mirror=False).batch(
        torch.arange(200), torch.Generator().manual_seed(0)
    )
    assert torch.equal(varied, one)


def test_an_input_is_the_bytes_of_the_picture():
    pixels = coloured_noise(2).pixels
    x = as_input(torch.from_numpy(pixels))
    assert x.shape == (20, 3, 32, 32)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(PIXEL.to_integers(x.numpy()), pixels.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_keeps_the_shape_and_no_strength_keeps_the_picture(name):
    picture = Image.fromarray(coloured_noise(1).pixels[3])
    for strength in (-1.0, -0.3, 0.7, 1.0):
        changed = operation(name, strength)(picture)
        assert (changed.size, changed.mode) == (picture.size, picture.mode)
        if name not in ("identity", "autocontrast", "equalize"):
            assert np.asarray(changed).tolist() != np.asarray(picture).tolist()
    if name not in ("autocontrast", "equalize"):
        assert np.array_equal(operation(name, 0.0)(picture), picture)


def test_an_operation_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="operation 'blur': one of identity, autocontrast"):
        operation("blur", 1.0)


def test_trivial_augmentation_is_that_of_its_generator():
    images = coloured_noise(4)
    x = torch.from_numpy(images.pixels)
    same, again, other = (trivially_augmented(x, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(same, again)
    assert not torch.equal(same, other)
    unchanged = (same == x).flatten(1).all(1).float().mean()
    assert unchanged < 0.4
    varied = Augmented(images, trivial=True)
    picked = torch.arange(len(varied))
    plain = Augmented(images).batch(picked, torch.Generator().manual_seed(0))[0]
    assert not torch.equal(varied.batch(picked, torch.Generator().manual_seed(0))[0], plain)
