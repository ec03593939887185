"""Checkpoints of timm's EfficientFormer, of the user's own or downloaded, as nets of ours."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vision.nets.efficientformer import STRIDE, EfficientFormer
from vision.nets.timm_names import efficientformer_from_timm

HIDDEN = re.compile(r"stages\.(\d+)\.blocks\.\d+\.mlp\.0\.weight")
"""The first layer of each block's MLP, in our names."""


def load_timm(path: Path) -> EfficientFormer:
    """The net of a checkpoint of timm's EfficientFormer, with its weights, in evaluation mode.

    `path` is a safetensors file as timm publishes it, `model.safetensors`, of any variant: widths, depths, classes and
    the size of images, which are square, are read from its shapes. `at_size` gives the net for images of another size.
    Raises `ValueError` for a file of another kind: one of `torch.save` is a pickle, which may run anything.

    >>> load_timm(Path("pytorch_model.bin"))
    Traceback (most recent call last):
    ValueError: pytorch_model.bin: needs .safetensors; where you trust it: safetensors.torch.save_file(state, path)
    """
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: needs .safetensors; where you trust it: safetensors.torch.save_file(state, path)")
    try:
        ours = efficientformer_from_timm(load_file(path))
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a safetensors file that can be read: {error}") from None
    try:
        net = _untrained(ours)
        net.load_state_dict(ours)
    except (KeyError, IndexError, RuntimeError) as error:
        raise ValueError(f"{path}: not a checkpoint of timm's EfficientFormer: {error}") from None
    return net.eval()


def _untrained(ours: Mapping[str, Tensor]) -> EfficientFormer:
    """The net whose state has these shapes."""
    widths: dict[int, list[int]] = {}
    for name, tensor in ours.items():
        if match := HIDDEN.match(name):
            widths.setdefault(int(match[1]), []).append(tensor.shape[1])
    stages = [widths[stage] for stage in sorted(widths)]
    tables = [tensor for name, tensor in ours.items() if name.endswith(".mixer.bias.weight")]
    return EfficientFormer(
        [stage[0] for stage in stages],
        [len(stage) for stage in stages],
        len(tables),
        classes=len(ours["head.weight"]),
        **({"image": STRIDE * math.isqrt(tables[0].shape[1])} if tables else {}),
    )
