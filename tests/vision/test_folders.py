"""Folders of pictures: every common layout is read, parts are disjoint, and what is missing is named."""

import numpy as np
import pytest
from pictures import noise
from PIL import Image

from vision.data.folders import read, tree

CLASSES = ("ant", "bee")


def put(path, label=0, shape=(32, 32)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(label, np.random.default_rng(len(str(path))))).resize(shape).save(path)


def flat(root):
    for label, name in enumerate(CLASSES):
        for number in range(20):
            put(root / name / f"{number:02d}.png", label)


def split(root):
    for part, count in (("train", 20), ("val", 3)):
        flat_part = root / part
        for label, name in enumerate(CLASSES):
            for number in range(count):
                put(flat_part / name / f"{number:02d}.png", label)


def three(root):
    split(root)
    for name in CLASSES:
        put(root / "test" / name / "one.png")


def tiny_imagenet(root):
    lines = []
    for label, name in enumerate(CLASSES):
        for number in range(20):
            put(root / "train" / name / "images" / f"{name}_{number}.JPEG", label)
        for number in range(3):
            file = f"val_{label}{number}.JPEG"
            put(root / "val" / "images" / file, label)
            lines.append(f"{file}\t{name}\t0\t0\t62\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(reversed(lines)))
    put(root / "test" / "images" / "test_0.JPEG")  # the real one has no labels


@pytest.mark.parametrize(
    ("write", "counts"), [(flat, (17, 1, 2)), (split, (18, 2, 3)), (three, (20, 3, 1)), (tiny_imagenet, (18, 2, 3))]
)
def test_every_layout_is_read_into_parts_that_share_no_picture(write, counts, tmp_path):
    write(tmp_path)
    parts = tree(tmp_path)
    assert parts.classes == CLASSES
    assert tuple(len(part["bee"]) for part in parts) == counts
    paths = [path for part in parts for pictures in part.values() for path in pictures]
    assert len(set(paths)) == len(paths)
    images = read(parts.train, parts.classes, 16, 5)
    assert images.pixels.shape == (10, 16, 16, 3)
    assert images.labels.tolist() == [0] * 5 + [1] * 5
    red = images.pixels[..., 0].mean((1, 2))
    assert (red[5:] > red[:5].mean()).all()  # classes are colours


def test_a_picture_is_cut_in_its_middle_and_not_squeezed(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    for name in ("0.png", "1.png", "2.png"):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(wide).save(tmp_path / "a" / name)
    parts = tree(tmp_path)
    assert (read(parts.train, parts.classes, 10, 1).pixels == 200).all()


def test_what_changes_in_a_part_changes_its_hash_alone(tmp_path):
    split(tmp_path)
    before = tree(tmp_path).hashes()
    put(tmp_path / "val" / "bee" / "00.png", 3)
    after = tree(tmp_path).hashes()
    assert {name for name in before if before[name] != after[name]} == {"test"}


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="no such folder; give one with a folder of pictures for each class"):
        tree(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no classes"):
        tree(tmp_path)
    (tmp_path / "ant").mkdir()
    with pytest.raises(ValueError, match="class 'ant' has no picture: put one of"):
        tree(tmp_path)
    put(tmp_path / "ant" / "0.png")
    with pytest.raises(ValueError, match="class 'ant' has too few pictures to split"):
        tree(tmp_path)
    for number in range(20):
        put(tmp_path / "ant" / f"{number}.png")
    (tmp_path / "ant" / "00.png").write_bytes(b"no picture")
    parts = tree(tmp_path)
    with pytest.raises(ValueError, match=r"00.png is not a picture that can be read"):
        read(parts.train, parts.classes, 16, 5)


def test_a_class_that_is_not_trained_on_is_refused(tmp_path):
    split(tmp_path)
    put(tmp_path / "val" / "cat" / "0.png")
    with pytest.raises(ValueError, match="class 'cat' has no training picture; give it some, or remove it"):
        tree(tmp_path)
