"""How nets are trained on patches, and what they reach on whole pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from shared.training.data import Shuffled
from shared.training.epochs import OneCycle, Trainer
from vision.data.quality import psnr, ssim
from vision.superres.bicubic import resized
from vision.superres.patches import Pair, Patches

BATCH = 16


def epoch_of(pairs: Sequence[Pair], scale: int, size: int, steps: int, generator: torch.Generator) -> Shuffled:
    """The random patches of an epoch."""
    return Shuffled(Patches(pairs, scale, size, steps * BATCH), BATCH, generator)


def trainer(net: nn.Module, epochs: int, rate: float) -> Trainer:
    """The loss is the mean absolute error."""
    return Trainer(net, OneCycle(epochs, rate, BATCH, decay=0.0), l1_loss)


def log_l1(actual: Tensor, expected: Tensor) -> Tensor:
    """The logarithm of the mean absolute error, so that a price has the same weight beside any error."""
    return l1_loss(actual, expected).log()


@torch.no_grad()
def enlarged(net: nn.Module | None, pair: Pair, scale: int) -> NDArray[np.float32]:
    """The small picture enlarged by a net, or bicubically without one, rounded to the 256 levels of luma."""
    if net is None:
        large = resized(pair.small, scale)
    else:
        large = net.eval()(torch.from_numpy(pair.small)[None, None] / 255)[0, 0].numpy() * np.float32(255)
    return np.rint(large).clip(0, 255)


def quality(net: nn.Module | None, pairs: Sequence[Pair], scale: int) -> dict[str, list[float]]:
    """PSNR in dB and SSIM of each picture, without a border of `scale` pixels."""
    images = [(enlarged(net, pair, scale), pair.large.astype(np.float32)) for pair in pairs]
    return {
        "psnr": [psnr(*both, border=scale) for both in images],
        "ssim": [ssim(*both, border=scale) for both in images],
    }


@torch.no_grad()
def patch_error(net: nn.Module, pairs: Sequence[Pair], scale: int, size: int, count: int, seed: int) -> float:
    """The mean absolute error of `count` random patches, the same by `seed`, in levels of 256.

    Where no picture has patches of this size, they are as large as the largest has.
    """
    size = min(size, max(min(pair.small.shape) for pair in pairs))
    patches = Patches(pairs, scale, size, count)
    x, y = patches.batch(torch.arange(count), torch.Generator().manual_seed(seed))
    return 255 * float(l1_loss(net.eval()(x), y))
