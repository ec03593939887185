"""Nets that enlarge luma in 8-bit integers: levels of luma in, levels out."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from shared.f8net import F8Net, keep_zeros
from shared.integer import Program, Requantise
from shared.integer.format import Format
from shared.weights.blocks import BlockSparsity
from vision.superres.nets import Enlarger

LEVELS = Format(8, 8, signed=False)
"""Luma as a picture of 8 bits has it; read as a number, a level is `LEVEL` of what it is in [0, 1]."""
LEVEL = 255 / 256
BLOCK = BlockSparsity(outputs=2, inputs=4)
"""Those of the format 2x4 of `qwedge compile`."""


class InLevels(nn.Module):
    """A net on levels of luma as one on luma in [0, 1], to be trained and compared like any other."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net(x * LEVEL) / LEVEL
        return y


def fixed_net(net: nn.Module, x: Tensor) -> F8Net:
    """`net`, one for use of `vision.superres.upscaler.plain_net`, in 8-bit fixed point on levels of luma.

    It is calibrated on lumas `x` in [0, 1], `(B, 1, H, W)`. The pixels themselves are added to the sums of the last
    convolution, in 32 bits, so that rounding costs only what the net adds to them. Zeros of weights that `drop_blocks`
    dropped stay zero in training.
    """
    net = copy.deepcopy(net)
    assert isinstance(net, Enlarger)
    first, *_, last = (layer for layer in net.body.modules() if isinstance(layer, nn.Conv2d))
    with torch.no_grad():
        first.weight /= LEVEL
        last.weight *= LEVEL
        last.bias.mul_(LEVEL)  # type: ignore[union-attr]
    # The identity of each block, merged into its convolution, is one large weight among small ones.
    return F8Net(net, shape=tuple(x.shape[1:]), input=LEVELS, sparse=True, fit="error").calibrate(x * LEVEL)


def enlarging_program(fixed: F8Net, plane: tuple[int, int]) -> Program:
    """The integer program from levels `(1, *plane)` to levels of the enlarged plane; all that it rounds is its result
    and what is between layers.
    """
    program = fixed.program()
    [levels] = program.inputs
    result = Requantise(program.outputs, "levels", LEVELS)
    return Program((replace(levels, shape=(1, *plane)),), (*program.operations, result), (result.output,))


def drop_blocks(net: nn.Module, kept: float) -> None:
    """Sets all but the largest share `kept` of the trunk's blocks of weights to zero, and holds them there.

    Blocks of all layers but head and tail are compared by their squared norm: they cost the same.
    """
    _, *trunk, _ = (layer for layer in net.modules() if isinstance(layer, nn.Conv2d))
    norms = [_norms(layer.weight.detach()) for layer in trunk]
    for layer, keep in zip(trunk, _largest(norms, kept), strict=True):
        keep_zeros(layer, _spread_out(keep, layer.weight))


def _norms(weight: Tensor) -> Tensor:
    """The squared norm of each block."""
    places = BLOCK.tiles(torch.arange(weight.numel()).reshape(weight.shape))
    squares = torch.cat((weight.flatten().square(), weight.new_zeros(1)))  # -1, beyond an edge, is the last
    return squares[places].sum(1)


def _largest(norms: Sequence[Tensor], share: float) -> Sequence[Tensor]:
    """Which blocks of each layer are among the largest of all."""
    together = torch.cat(list(norms))
    keep = torch.zeros(len(together), dtype=torch.bool)
    keep[together.topk(round(share * len(together))).indices] = True
    return torch.split(keep, [len(each) for each in norms])


def _spread_out(keep: Tensor, weight: Tensor) -> Tensor:
    """A flag of each block as one of each weight, in the weight's shape."""
    places = BLOCK.tiles(torch.arange(weight.numel()).reshape(weight.shape))
    mask = torch.zeros(weight.numel() + 1, dtype=torch.bool)
    mask[places] = keep[:, None]
    return mask[:-1].reshape(weight.shape)
