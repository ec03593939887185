"""Checkpoints of timm under our names. Licence of the weights: that of timm's page, Apache 2.0 for EfficientFormer."""

import re
from collections.abc import Mapping

from torch import Tensor

_NAMES = (
    (r"^stem\.conv1\.", "stem.0."),
    (r"^stem\.norm1\.", "stem.1."),
    (r"^stem\.conv2\.", "stem.3."),
    (r"^stem\.norm2\.", "stem.4."),
    (r"\.downsample\.conv\.", ".embed.0."),
    (r"\.downsample\.norm\.", ".embed.1."),
    (r"\.token_mixer\.attention_biases$", ".mixer.bias.weight"),
    (r"\.token_mixer\.qkv\.", ".mixer.qkv."),
    (r"\.token_mixer\.proj\.", ".mixer.project."),
    (r"\.ls([12])\.gamma$", r".scale\1.weight"),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.norm1\.", ".mlp.1."),
    (r"\.mlp\.norm2\.", ".mlp.4."),
    (r"^head_dist\.", "distilled."),
)
"""Patterns of timm's names, and ours. The second layer of an MLP is not here: it is number 3 in a block on maps, which
has norms, and 2 in one on tokens."""


def efficientformer_from_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of `EfficientFormer` from timm's `efficientformer_l1`, `_l3` or `_l7`, of the same image size.

    >>> import torch
    >>> list(efficientformer_from_timm({"stages.0.downsample.conv.bias": torch.zeros(2)}))
    ['stages.0.embed.0.bias']
    """
    renamed = {}
    for name, tensor in state.items():
        if name.endswith("attention_bias_idxs"):
            continue  # ours follow from the image size
        block = re.match(r"stages\.\d+\.blocks\.\d+\.", name)
        on_tokens = block is not None and f"{block[0]}token_mixer.qkv.weight" in state
        ours = re.sub(r"\.mlp\.fc2\.", ".mlp.2." if on_tokens else ".mlp.3.", name)
        for pattern, new in _NAMES:
            ours = re.sub(pattern, new, ours)
        renamed[ours] = tensor[:, None, None] if re.search(r"\.ls[12]\.gamma$", name) and not on_tokens else tensor
    return renamed
