"""Blocks of 1x1 convolutions dropped without training: what is left is fitted to what the layer computed."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

POSITIONS = 4096
"""Pixels, of all samples together, that a layer is fitted to."""
RIDGE = 0.01
"""How strongly weights are held where they were, in mean squares of the layer's inputs."""
BLOCK = 4
"""Neighbouring inputs of one output that are dropped together: a block of the format 1x4."""


@torch.no_grad()
def refitted(net: nn.Module, x: Tensor, share: float, generator: torch.Generator) -> nn.Module:
    """A copy of `net`, in evaluation, without a `share` of the 1x4 blocks of every 1x1 convolution.

    Of each layer the blocks go that add least to its outputs, `sum of w^2 E[a^2]` over a block; the rest solves, per
    output with its kept inputs `S`,
    ```
    min over w, b of  E (w . a[S] + b - y)^2 + RIDGE mean(E a^2) |w - w0|^2
    ```
    where `y` is what the layer computed before and `a` what it reads now, after the layers before it have changed: it
    makes up for those too. E. Frantar, S. P. Singh, D. Alistarh, Optimal Brain Compression (arXiv 2208.11580), drop one
    block after the other; ours drops all at once. `x` are samples `(n, *shape)`; layers of a stride or of a number of
    inputs that is no multiple of four stay as they are. Raises `ValueError` for a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"share={share}: the blocks that are dropped must be from 0 to below 1 of all")
    net = copy.deepcopy(net).eval()
    layers = dict(_pointwise(net))
    places: dict[str, Tensor] = {}
    targets: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(layer: nn.Module, inputs: Any, y: Tensor) -> None:
            count = len(y) * y.shape[2] * y.shape[3]
            places[name] = torch.randperm(count, generator=generator)[:POSITIONS]
            targets[name] = _lines(y)[places[name]]

        return hook

    def fit(name: str) -> Callable[[nn.Module, Any], None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            _fit(layers[name], _lines(inputs[0])[places[name]].double(), targets.pop(name).double(), share)

        return hook

    _run(net, x, [layer.register_forward_hook(note(name)) for name, layer in layers.items()])
    _run(net, x, [layer.register_forward_pre_hook(fit(name)) for name, layer in layers.items()])
    return net


def _pointwise(net: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    for name, layer in net.named_modules():
        if not isinstance(layer, nn.Conv2d) or is_parametrized(layer) or layer.in_channels % BLOCK:
            continue
        if layer.groups == 1 and layer.weight[0, 0].numel() == 1 and layer.stride == (1, 1) and not any(layer.padding):
            yield name, layer


def _run(net: nn.Module, x: Tensor, hooks: list[Any]) -> None:
    try:
        net(x)
    finally:
        for hook in hooks:
            hook.remove()


def _lines(x: Tensor) -> Tensor:
    """`(positions, channels)`."""
    return x.movedim(1, -1).flatten(0, -2)


def _fit(layer: nn.Conv2d, a: Tensor, y: Tensor, share: float) -> None:
    before = layer.weight.flatten(1).double()
    squares = a.square().mean(0)
    added = (before.square() * squares).unflatten(1, (-1, BLOCK)).sum(2)
    kept = torch.zeros(added.numel(), dtype=torch.bool)
    kept[added.flatten().argsort(descending=True)[: added.numel() - round(share * added.numel())]] = True
    kept = kept.reshape(added.shape).repeat_interleave(BLOCK, 1)
    means = a.mean(0), y.mean(0)
    a, y = a - means[0], y - means[1]
    ridge = RIDGE * squares.mean().clamp_min(1e-12)
    gram = a.T @ a / len(a) + ridge * torch.eye(a.shape[1], dtype=a.dtype)
    right = y.T @ a / len(a) + ridge * before
    weight = torch.zeros_like(before)
    for row, chosen in enumerate(kept):
        if bool(chosen.any()):
            weight[row, chosen] = torch.linalg.solve(gram[chosen][:, chosen], right[row, chosen])
    layer.weight.copy_(weight.reshape(layer.weight.shape))
    bias = means[1] - weight @ means[0]
    if layer.bias is None:
        layer.bias = nn.Parameter(bias.to(layer.weight))
    else:
        layer.bias.copy_(bias)
