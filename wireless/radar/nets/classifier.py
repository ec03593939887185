"""A trained net with what it takes to use it: its classes, and files of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shared.lab import JSON
from shared.weights import described
from wireless.radar.nets.inputs import as_input
from wireless.radar.nets.registry import NETS, build

BATCH = 256
_KIND = "radar"


@dataclass(frozen=True, eq=False)
class Classifier:
    """A net of the registry by `name`, trained for `classes` in windows of `samples` samples."""

    name: str
    classes: tuple[str, ...]
    samples: int
    net: nn.Module

    def probabilities(self, samples: NDArray[np.complex64]) -> NDArray[np.float64]:
        """Of each class, `(windows, classes)`, for windows `(windows, samples)` at any gain."""
        return np.exp(log_probabilities(self.net, samples))

    def to_bytes(self, about: Mapping[str, JSON] | None = None) -> bytes:
        """A safetensors file: all numbers, and what they are of, with `about`, as JSON in its metadata."""
        head = {"net": self.name, "classes": self.classes, "samples": self.samples, **(about or {})}
        return described.to_bytes(self.net.state_dict(), _KIND, head)

    @classmethod
    def from_bytes(cls, data: bytes, source: str = "the weights") -> "Classifier":
        """A classifier from a file of `to_bytes`. Raises `ValueError`, naming `source`, for another file."""
        try:
            tensors, head = described.from_bytes(data, _KIND)
            classes, samples = tuple(head["classes"]), int(head["samples"])
            net = NETS[head["net"]].build(len(classes), samples)
            net.load_state_dict(tensors)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            line = str(error).partition("\n")[0]
            raise ValueError(f"{source}: not the weights of a radar net: {line}") from None
        return cls(head["net"], classes, samples, net.eval())


def log_probabilities(net: nn.Module, samples: NDArray[np.complex64]) -> NDArray[np.float64]:
    """`(windows, classes)`, in evaluation mode."""
    net.eval()
    with torch.no_grad():
        logits = [net(as_input(part)) for part in np.split(samples, range(BATCH, len(samples), BATCH))]
    result: NDArray[np.float64] = torch.cat(logits).double().log_softmax(1).numpy()
    return result


def fresh(name: str, classes: tuple[str, ...], samples: int, generator: torch.Generator) -> Classifier:
    """A classifier that has not been trained."""
    return Classifier(name, classes, samples, build(name, len(classes), samples, generator))
