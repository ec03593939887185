"""Where nets are trained: `auto`, `cpu` or `cuda`."""

import os

import torch
from torch import nn

VARIABLE = "QWEDGE_DEVICE"
"""Names the device of trainings whose caller names none."""
NAMES = ("auto", "cpu", "cuda")


def choose(name: str | None = None) -> torch.device:
    """The device called `name`, else `$QWEDGE_DEVICE`, else the CPU; `auto` is CUDA where there is one.

    Of the processes that `torchrun` starts, each takes a CUDA device of its own, by `$LOCAL_RANK`. The default is the
    CPU even beside a GPU: figures are compared bit for bit, and two devices round differently.

    Raises `ValueError` for another name, and for `cuda` where torch finds no CUDA device.

    >>> choose("cpu")
    device(type='cpu')
    """
    name = name or os.environ.get(VARIABLE) or "cpu"
    if name not in NAMES:
        raise ValueError(f"device={name!r}: must be one of {', '.join(NAMES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device='cuda': torch {torch.__version__} finds no CUDA device; take 'auto' or 'cpu'")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device(name, int(os.environ["LOCAL_RANK"]))
    return torch.device(name)


def device_of(net: nn.Module) -> torch.device:
    """Where a net's parameters are; the CPU for a net without any."""
    return next((parameter.device for parameter in net.parameters()), torch.device("cpu"))
