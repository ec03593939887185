"""Archives and images of coloured noise: a class is a colour, so that nets can learn it in seconds."""

import io
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision.data.cifar10 import Images

CLASSES = [f"class{k}" for k in range(10)]


def noise(label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    colour = np.array([label * 25, 250 - label * 25, 90 * (label % 3)])
    return np.clip(colour + rng.integers(-30, 30, (32, 32, 3)), 0, 255).astype(np.uint8)


def coloured_noise(per_class: int, seed: int = 0, classes: int = 10) -> Images:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    return Images(np.stack([noise(label, rng) for label in labels]), labels)


def write_archive(path: Path, train: int = 20, test: int = 3, seed: int = 0, size: int = 32) -> dict[str, bytes]:
    """Writes an archive as the loader reads it, in a mixed order, and returns its files."""
    rng, files = np.random.default_rng(seed), {}
    for part, count in (("train", train), ("test", test)):
        for number in reversed(range(count)):
            for label, name in enumerate(CLASSES):
                picture, buffer = noise(label, rng)[:size], io.BytesIO()
                Image.fromarray(picture).save(buffer, "JPEG", quality=75)
                files[f"cifar10_jpg/{part}/{name}/{number:04d}.jpg"] = buffer.getvalue()
    files["cifar10_jpg/README.md"] = b"about"
    with tarfile.open(path, "w:xz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return files
