"""Numbers of correct answers, of a torch net and of an integer program."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.core.task import Progress
from shared.integer import Program, outputs
from shared.training.device import device_of
from vision.data.augment import as_input
from vision.data.cifar10 import Images

BATCH = 100
"""Images per batch; few, so that the activations between layers stay in the processor's cache."""


@torch.no_grad()
def logits(net: nn.Module, images: Images) -> NDArray[np.float32]:
    """Logits of a net for every image, `(N, classes)`, in evaluation mode."""
    net.eval()
    return np.concatenate([_logits(net, torch.from_numpy(pixels)) for pixels in _batches(images)])


def _logits(net: nn.Module, pixels: Tensor) -> NDArray[np.float32]:
    result: NDArray[np.float32] = net(as_input(pixels.to(device_of(net)))).cpu().numpy()
    return result


def program_logits(program: Program, images: Images, progress: Progress | None = None) -> NDArray[np.float64]:
    """Logits of an integer program for every image, as real numbers; its input is the bytes of the image."""
    [name] = program.outputs
    format, values = program.values[name].format, []
    for done, pixels in enumerate(_batches(images)):
        if progress is not None:
            progress(done * BATCH, len(images.labels), "program")
        values += [format.from_integers(integers) for integers in outputs(program, pixels.transpose(0, 3, 1, 2))]
    return np.concatenate(values)


def right(logits: NDArray[np.floating], images: Images) -> NDArray[np.bool_]:
    """Whether the largest logit of each image is that of its label; of equal logits the first counts.

    >>> images = Images(np.zeros((2, 1, 1, 3), np.uint8), np.array([1, 0]))
    >>> right(np.array([[0.0, 2.0], [3.0, 4.0]]), images).tolist()
    [True, False]
    """
    answers: NDArray[np.bool_] = logits.argmax(1) == images.labels
    return answers


def correct(net: nn.Module, images: Images) -> int:
    """The number of images that a net classifies correctly."""
    return int(right(logits(net, images), images).sum())


def _batches(images: Images) -> list[NDArray[np.uint8]]:
    return np.split(images.pixels, range(BATCH, len(images.pixels), BATCH))
