"""Channels of unlike ranges in branches that have number formats of their own."""

import copy
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar, cast

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from shared.importers.graph import TracedGraph, TracedNode

PLANE = 4
"""Channels that lie side by side in the kernels: branches are whole planes."""
ACTIVATIONS = (nn.ReLU, nn.ReLU6)

Convolution = nn.Conv1d | nn.Conv2d
Kind = TypeVar("Kind", bound=nn.Conv1d | nn.Conv2d)


class Branches(nn.Module):
    """The sum of what each branch computes of the same tensor."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.branches
        total = cast(Tensor, first(x))
        for branch in others:
            total = total + branch(x)
        return total


def branched(net: nn.Module, shape: Sequence[int], count: int = 2) -> nn.Module:
    """A copy of `net`, in evaluation, that computes the same, its depthwise layers in up to `count` branches.

    A layer has one number format, set by its largest channels: those of a tenth of their range lose three bits. Here
    channels go by the range of their depthwise weights into branches, each with formats of its own:
    ```
    project(act(depthwise(act(expand(x)))))  =  sum over g of  project[:, g](act(depthwise[g](act(expand[g](x)))))
    ```
    Cuts are where `sum over g of |g| range(g)^2`, the squared error of rounding up to a factor, is least, at whole
    planes of four channels. It is exact for ReLU6 too, where scales of single channels (M. Nagel et al., arXiv
    1906.04721, section 4.1) are for ReLU alone: a ReLU6 clips at one number. Each branch costs its kernels' calls.

    `shape` is that of one input. Only layers with nothing but ReLU or ReLU6 between them change: fold batch norms in
    before, see `shared.weights.compressed.folded`. Masks are of the net that this returns, whose channels are in
    another order. Raises `ValueError` unless `count` is positive.
    """
    if count < 1:
        raise ValueError(f"count={count}: a net has at least one branch")
    net = copy.deepcopy(net).eval()
    for chain in list(_chains(TracedGraph.of(net, shape))):
        groups = _cut(_ranges(chain.depthwise.layer), count)
        if len(groups) > 1:
            _replace(net, chain.nodes[0].path, Branches([_branch(chain, group) for group in groups]))
            for node in chain.nodes[1:]:
                _replace(net, node.path, nn.Identity())
    return net


class _Chain(NamedTuple):
    """Layers one after the other, each read by the next alone: the depthwise one stands between two that mix."""

    nodes: tuple[TracedNode, ...]
    depthwise: TracedNode


def _chains(graph: TracedGraph) -> Iterator[_Chain]:
    calls = Counter(node.layer for node in graph)
    taken: set[str] = set()
    for node in graph:
        walked: list[TracedNode] = []
        following: TracedNode | None = node
        while following is not None and calls[following.layer] == 1 and _is_part(following, taken):
            walked.append(following)
            following = graph.sole_reader(following.name)
            if sum(_is_convolution(each) for each in walked) == 3:
                break
        convolutions = [each for each in walked if _is_convolution(each)]
        depthwise = [_is_depthwise(each.layer) for each in convolutions]
        if depthwise == [False, True, False] and walked[0] is convolutions[0] and walked[-1] is convolutions[2]:
            taken |= {each.name for each in walked}
            yield _Chain(tuple(walked), convolutions[1])


def _is_part(node: TracedNode, taken: set[str]) -> bool:
    return node.name not in taken and (isinstance(node.layer, ACTIVATIONS) or _is_convolution(node))


def _is_convolution(node: TracedNode) -> bool:
    layer = node.layer
    if not isinstance(layer, Convolution) or is_parametrized(layer):
        return False
    return layer.groups == 1 or _is_depthwise(layer)


def _is_depthwise(layer: nn.Module | None) -> bool:
    return isinstance(layer, Convolution) and layer.groups == layer.in_channels == layer.out_channels > 1


def _ranges(layer: nn.Module | None) -> Tensor:
    assert isinstance(layer, Convolution)
    return layer.weight.detach().flatten(1).abs().amax(1)


def _cut(ranges: Tensor, count: int) -> list[Tensor]:
    """The channels of each branch, in order; those of the largest ranges are the first branch."""
    order = ranges.argsort(descending=True, stable=True)
    squares = ranges[order].double().square().tolist()
    ends = [*range(PLANE, len(squares), PLANE), len(squares)]
    least: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, (0,))}
    """The error of the channels before a number of them, in the branches so far, and where these begin."""
    whole: tuple[float, tuple[int, ...]] = (math.inf, ())
    for _ in range(min(count, len(ends))):
        longer: dict[int, tuple[float, tuple[int, ...]]] = {}
        for start, (error, begun) in least.items():
            for end in ends:
                if end <= start:
                    continue
                total = error + (end - start) * squares[start]
                if end == len(squares):
                    whole = min(whole, (total, begun))
                elif end not in longer or total < longer[end][0]:
                    longer[end] = total, (*begun, end)
        least = longer
    bounds = [*whole[1], len(squares)]
    return [order[a:b].sort().values for a, b in pairwise(bounds)]


def _branch(chain: _Chain, channels: Tensor) -> nn.Sequential:
    layers: list[nn.Module] = []
    first, last = chain.nodes[0], chain.nodes[-1]
    for node in chain.nodes:
        layer = node.layer
        if not isinstance(layer, nn.Conv1d | nn.Conv2d):
            layers.append(copy.deepcopy(cast(nn.Module, layer)))
        elif node is last:
            layers.append(_part(layer, layer.weight[:, channels], _share(layer, channels, chain.depthwise)))
        else:
            bias = None if layer.bias is None else layer.bias[channels]
            layers.append(_part(layer, layer.weight[channels], bias, whole_input=node is first))
    return nn.Sequential(*layers)


def _share(layer: nn.Conv1d | nn.Conv2d, channels: Tensor, depthwise: TracedNode) -> Tensor | None:
    """The part of the last layer's bias that a branch adds: by its channels, so that the parts add up to it."""
    if layer.bias is None:
        return None
    return layer.bias * (len(channels) / depthwise.shape[0])


def _part(layer: Kind, weight: Tensor, bias: Tensor | None, whole_input: bool = True) -> Kind:
    part = copy.deepcopy(layer)
    part.weight = nn.Parameter(weight.detach().clone())
    part.bias = None if bias is None else nn.Parameter(bias.detach().clone())
    part.out_channels = len(weight)
    part.in_channels = weight.shape[1] if whole_input else len(weight)
    part.groups = 1 if whole_input else len(weight)
    return part


def _replace(net: nn.Module, path: str, layer: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(net.get_submodule(parent), name, layer)
