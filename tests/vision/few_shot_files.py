"""Files of few-shot sets, for the tests that read them."""

import io
import json
import tarfile
import zipfile

import numpy as np
from PIL import Image


def png(pixels, mode):
    data = io.BytesIO()
    Image.fromarray(pixels, mode).save(data, "png")
    return data.getvalue()


def sheet(folder, parts=("train", "val")):
    """An archive of the format of CIFAR-100: two classes, five tiles of 8x8 in two columns."""
    folder.mkdir()
    tiles = np.arange(2 * 5, dtype=np.uint8).reshape(2, 5) * 20
    classes = {name: {"cifar_fs": part, "train": 5} for name, part in zip("xy", parts, strict=True)}
    index = {"cell": 8, "columns": 2, "classes": classes}
    with tarfile.open(folder / "dev.tar", "w") as archive:

        def add(name, data):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

        add("dev/index.json", json.dumps(index).encode())
        for name, levels in zip("xy", tiles, strict=True):
            image = np.zeros((24, 16, 3), np.uint8)
            for k, level in enumerate(levels):
                image[k // 2 * 8 : k // 2 * 8 + 8, k % 2 * 8 : k % 2 * 8 + 8] = level
            data = io.BytesIO()
            Image.fromarray(image).save(data, "jpeg", quality=95)
            add(f"dev/train/{name}.jpg", data.getvalue())
    return tiles


def drawings(folder, *alphabets):
    """The two files of Omniglot with two drawings of one character, an L of 40 pixels, for each alphabet."""
    for number, names in enumerate(alphabets):
        with zipfile.ZipFile(folder / f"images_background_small{number + 1}.zip", "w") as archive:
            for name in names:
                for drawing in range(2):
                    pixels = np.full((56, 56), 255, np.uint8)
                    pixels[5:45, 5:15] = pixels[35:45, 5:45] = 0
                    archive.writestr(f"s/{name}/character01/{drawing}.png", png(pixels, "L"))


def tree(folder, names, count=8, size=16):
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        colour = rng.integers(40, 215, 3)
        for k in range(count):
            pixels = (colour + rng.integers(-20, 20, (size, size, 3))).astype(np.uint8)
            (folder / name / f"{k}.png").write_bytes(png(pixels, "RGB"))
