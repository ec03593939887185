"""Loading: every picture once, in order, kept by content, and no picture both trained on and validated on."""

import io
import sys

import numpy as np
import pytest
from pictures import CLASSES, coloured_noise, write_archive
from PIL import Image

from vision.data import cifar10 as data
from vision.data.cifar10 import ARCHIVE, load


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / ARCHIVE
    write_archive(path)
    return path


def test_every_picture_is_loaded_under_its_class_in_the_order_of_names(tmp_path):
    files = write_archive(tmp_path / ARCHIVE)
    found = load(tmp_path / ARCHIVE)
    assert [len(part.labels) for part in found] == [180, 20, 30]
    wanted = [
        np.asarray(Image.open(io.BytesIO(files[f"cifar10_jpg/test/{name}/{number:04d}.jpg"])))
        for name in CLASSES
        for number in range(3)
    ]
    assert np.array_equal(found.test.pixels, np.stack(wanted))
    assert found.test.labels.tolist() == [label for label in range(10) for _ in range(3)]


def test_training_and_validation_are_disjoint_and_together_everything():
    images = coloured_noise(25)
    images.pixels[:, 0, 0, 0] = np.arange(250)  # a number for each
    parts = images.split()
    numbers = [set(part.pixels[:, 0, 0, 0].tolist()) for part in parts]
    assert numbers[0] & numbers[1] == set()
    assert numbers[0] | numbers[1] == set(range(250))
    assert np.bincount(parts[1].labels).tolist() == [2] * 10
    for part in parts:
        assert np.array_equal(part.labels, part.pixels[:, 0, 0, 0] // 25)


def test_the_first_of_each_class():
    images = coloured_noise(5)
    few = images.first(2)
    assert np.bincount(few.labels).tolist() == [2] * 10
    assert np.array_equal(few.pixels, images.pixels[[n for n in range(50) if n % 5 < 2]])
    assert len(images.first(99).labels) == 50


def test_pictures_are_decoded_once(archive, monkeypatch):
    first = load(archive)
    monkeypatch.setattr(data, "_decoded", lambda path: pytest.fail("decoded again"))
    again = load(archive)
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.labels, other.labels)


def test_other_pictures_are_other_files_in_the_cache(archive, cache):
    first = load(archive)
    write_archive(archive, seed=1)
    second = load(archive)
    assert not np.array_equal(first.test.pixels, second.test.pixels)
    assert len(list(cache.glob("*.npy"))) == 2


def test_a_cache_that_is_damaged_or_cannot_be_written_is_no_obstacle(archive, cache):
    first = load(archive)
    [kept] = cache.glob("*.npy")
    kept.write_bytes(kept.read_bytes()[:1000])
    assert np.array_equal(load(archive).test.pixels, first.test.pixels)
    kept.unlink()
    cache.rmdir()
    cache.write_text("a file where the folder should be")
    assert np.array_equal(load(archive).test.pixels, first.test.pixels)


def cut(path, size):
    write_archive(path)
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("no archive"), r"is incomplete or corrupt: .*needs cifar10_jpg\.tar\.xz$"),
        (lambda path: cut(path, 5000), r"is incomplete or corrupt: .*needs cifar10_jpg\.tar\.xz$"),
        (lambda path: write_archive(path, train=0), r"needs files train/CLASS/NAME\.jpg and test/CLASS/NAME\.jpg"),
        (lambda path: write_archive(path, size=16), r"0019\.jpg is 32x16; needs 32x32"),
    ],
)
def test_what_is_no_such_archive_is_named(tmp_path, make, words):
    make(tmp_path / ARCHIVE)
    with pytest.raises(ValueError, match=words):
        load(tmp_path / ARCHIVE)


def test_a_missing_pillow_says_what_to_install(archive, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match=r"^`vision` needs pillow: pip install -e '\.\[vision\]'$"):
        load(archive)
