"""Counts of right answers, of a float net and of an integer program."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.integer import Program, outputs
from shared.training.device import device_of
from vision.data.augment import as_input
from vision.data.cifar10 import Images

BATCH = 100
"""Images at a time; few, so that what one layer hands to the next stays in the processor's cache."""

Report = Callable[[int, int], None]


@torch.no_grad()
def logits(net: nn.Module, images: Images) -> NDArray[np.float32]:
    """What a net says of every image, `(N, classes)`, outside training."""
    net.eval()
    return np.concatenate([_logits(net, torch.from_numpy(pixels)) for pixels in _batches(images)])


def _logits(net: nn.Module, pixels: Tensor) -> NDArray[np.float32]:
    said: NDArray[np.float32] = net(as_input(pixels.to(device_of(net)))).cpu().numpy()
    return said


def program_logits(program: Program, images: Images, report: Report | None = None) -> NDArray[np.float64]:
    """What an integer program says of every image, as real numbers; its input is the image's bytes as they are."""
    [name] = program.outputs
    format, said = program.values[name].format, []
    for done, pixels in enumerate(_batches(images)):
        if report is not None:
            report(done * BATCH, len(images.labels))
        said += [format.from_integers(integers) for integers in outputs(program, pixels.transpose(0, 3, 1, 2))]
    return np.concatenate(said)


def right(said: NDArray[np.floating], images: Images) -> NDArray[np.bool_]:
    """Whether the largest number is the label's; of equal numbers the first is taken.

    >>> images = Images(np.zeros((2, 1, 1, 3), np.uint8), np.array([1, 0]))
    >>> right(np.array([[0.0, 2.0], [3.0, 4.0]]), images).tolist()
    [True, False]
    """
    answers: NDArray[np.bool_] = said.argmax(1) == images.labels
    return answers


def correct(net: nn.Module, images: Images) -> int:
    """How many images a net is right about."""
    return int(right(logits(net, images), images).sum())


def _batches(images: Images) -> list[NDArray[np.uint8]]:
    return np.split(images.pixels, range(BATCH, len(images.pixels), BATCH))
