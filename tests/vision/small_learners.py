"""Small nets and pictures that tests of continual learning begin with."""

import numpy as np
import torch

from vision.data.few_shot import ClassPictures
from vision.nets.conv4 import Conv4
from vision.nets.encoder import Embedding


def coloured_classes():
    """Twelve classes of ten pictures, each of a colour of its own."""
    rng = np.random.default_rng(3)
    colours = rng.integers(40, 215, (12, 1, 1, 1, 3))
    noise = rng.integers(-20, 20, (12, 10, 16, 16, 3))
    return ClassPictures(tuple(f"class {k}" for k in range(12)), tuple((colours + noise).astype(np.uint8)))


def embedding(width=8):
    return Embedding(Conv4(3, 16, width)).eval()


def pictures(count, seed=0):
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
