"""A net compressed until its compiled library takes no more than so many milliseconds."""

import copy
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrize import is_parametrized

from mobile.build.compile import Compiled, compile_program
from mobile.lowering.work import work
from mobile.pricing.blocks import BlockMilliseconds, block_milliseconds, kept_share
from mobile.pricing.calibration import calibrated
from mobile.pricing.latency import Latency
from shared.core.admm import ADMM
from shared.core.solver import Solver
from shared.core.task import Progress
from shared.f8net import F8Net, keep_zeros
from shared.importers.graph import TracedGraph
from shared.integer import AbstractWeighted
from shared.integer.format import Format
from shared.training.loop import Schedule, descend
from shared.weights.blocks import BlockSparsity
from shared.weights.compress import compress
from shared.weights.compressed import Compressed

LARGEST = ADMM(steps=0, fine_tune=0)
"""Keeps the blocks of largest norm for their time. Steps of ADMM before the choice lost to as many steps of training
after it, on validation images of CIFAR-10."""
BLOCK = BlockSparsity(outputs=2, inputs=4)
"""Those of the format 2x4, channels reordered so that large weights share them."""
TUNING = Schedule(steps=400, batch=128, rate=5e-4, floor=1e-5)
"""Of the net in fixed point, from weights that are trained."""
CALIBRATION = 256
"""Examples that set the first number formats."""
ROUNDS = 21
BATCH = 512


@dataclass(frozen=True)
class SparseLayer:
    """One layer with weights: how much of it is left, and how it is computed."""

    name: str
    kept: float
    """Share of its weights that are not zero."""
    format: str
    predicted_ms: float
    reason: str


@dataclass(frozen=True, eq=False)
class CompiledFor:
    """A library within a number of milliseconds, and what that cost; `str()` is a table for people."""

    compiled: Compiled
    compressed: Compressed | None
    """The net of floats before fixed point; None where nothing had to be dropped."""
    layers: tuple[SparseLayer, ...]
    ms: float
    """That were asked for."""
    dense_ms: float
    """Predicted, of the net as it was."""
    predicted_ms: float
    measured_ms: float
    accuracy: Mapping[str, float]
    """Shares of right answers of the dense net of floats and of the compiled library."""
    judged: str
    """The examples that accuracies are of."""

    def __str__(self) -> str:
        rows = [("layer", "weights kept", "format", "predicted ms", "why")]
        rows += [(it.name, f"{it.kept:.0%}", it.format, f"{it.predicted_ms:.4f}", it.reason) for it in self.layers]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines.append(
            f"{self.predicted_ms:.4g} ms predicted of {self.dense_ms:.4g} dense, {self.ms:.4g} asked for; "
            f"{self.measured_ms:.4g} measured"
        )
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.accuracy.items())
        return "\n".join((*lines, f"accuracy on {self.judged}: {shares}"))


def compress_for(
    net: nn.Module,
    data: tuple[Tensor, Tensor],
    *,
    ms: float,
    input: Format,
    validation: tuple[Tensor, Tensor] | None = None,
    latency: Latency | None = None,
    solver: Solver = LARGEST,
    search: Schedule | None = None,
    tuning: Schedule = TUNING,
    seed: int = 0,
    progress: Progress | None = None,
) -> CompiledFor:
    """A classifier whose library takes `ms` milliseconds on this machine as predicted, one thread, one sample.

    Blocks of 2 x 4 weights are dropped, those of least norm for the kernels' time first; a layer that keeps so many
    that the dense kernel is faster is priced dense, and the search repeated once. What is left is trained in floats,
    then in 8-bit fixed point, dropped weights held at zero, and compiled; accuracies are those of the library. All
    training is towards the mean of the classes and the dense net's answers (Hinton et al. 2015, at temperature 1).

    - `data`: images or vectors `(n, *shape)` and class numbers `(n,)`; `validation` the same, for the accuracies.
    - `input`: the format that inputs come in, of 8 bits.
    - `latency`: measured on this machine if it is not stated.
    - `solver`, `search`: as `solver` and `tuning` of `shared.weights.compress`; `tuning`: that of fixed point.

    Raises `ValueError` where `ms` is less than the net takes without any block, with that number and the way out, and
    as `compress`, `F8Net` and `compile_program` do.
    """
    x, y = data
    if y.is_floating_point() or y.ndim != 1:
        raise ValueError(f"targets of shape {tuple(y.shape)}, {y.dtype}: class numbers (n,) are needed")
    latency = latency or calibrated(progress)
    shape, rng = tuple(x.shape[1:]), np.random.default_rng(seed)
    net = balanced(copy.deepcopy(net).eval(), shape)
    priced = block_milliseconds(net, shape, latency)
    taught = x, _taught(net, x, y)
    compressed = None
    if ms < priced.dense_ms:
        options = {"solver": solver, "seed": seed, "progress": progress} | ({"tuning": search} if search else {})
        again = partial(block_milliseconds, net, shape, latency)
        compressed = _compressed(net, taught, ms, priced, again, options)
    smaller = net if compressed is None else compressed.module
    fixed = _fixed(smaller, taught, input, tuning, seed, progress)
    compiled = compile_program(fixed.program(), rng, price=latency, rounds=ROUNDS)
    assert compiled.times is not None
    judged = data if validation is None else validation
    return CompiledFor(
        compiled,
        compressed,
        tuple(_layers(compiled)),
        ms,
        priced.dense_ms,
        sum(float(latency(work(call))) for call in compiled.lowered.calls),
        compiled.times.net,
        {"dense floats": _accuracy(net, *judged), "compiled": _accuracy_compiled(compiled, input, *judged)},
        f"{len(judged[1])} examples of {'training' if validation is None else 'validation'}",
    )


@torch.no_grad()
def balanced(net: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """The net with weights of one norm in every layer that a batch norm stands behind; it computes the same.

    Such a norm undoes the scale of the layer, which is therefore arbitrary, while blocks are chosen by the squared
    norm that they keep for their time. Of equal norms, it is a share of the layer's own: a layer with few, expensive
    blocks is not emptied for the sake of one with many.
    """
    graph = TracedGraph.of(net, shape)
    calls = Counter(node.layer for node in graph)
    behind = [(node.layer, reader.layer) for node in graph if (reader := graph.sole_reader(node.name)) is not None]
    pairs = [
        (layer, norm)
        for layer, norm in behind
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear)
        and not is_parametrized(layer)
        and isinstance(norm, _BatchNorm)
        and calls[layer] == 1
    ]
    norms = {layer: float(layer.weight.norm()) for layer, _ in pairs}
    for layer, norm in pairs:
        if norm.running_mean is None or norm.running_var is None or not norms[layer]:
            continue
        factor = statistics.geometric_mean(filter(None, norms.values())) / norms[layer]
        layer.weight *= factor
        if layer.bias is not None:
            layer.bias *= factor
        norm.running_mean *= factor
        norm.running_var *= factor**2
        norm.eps *= factor**2
    return net


def _compressed(
    net: nn.Module,
    data: tuple[Tensor, Tensor],
    ms: float,
    priced: BlockMilliseconds,
    again: Callable[[Mapping[str, str]], BlockMilliseconds],
    options: Mapping[str, Any],
) -> Compressed:
    """The net with blocks dropped; once more where layers turned out to be faster dense."""
    compressed = _searched(net, data, ms, priced, options)
    full = {
        layer: "it keeps so many blocks that the dense kernel is faster"
        for layer, most in priced.dense_at.items()
        if kept_share(compressed.module.get_submodule(layer)) > most
    }
    if full and len(full) < len(priced.dense_at) and ms > (second := again(full)).least_ms:
        compressed = _searched(net, data, ms, second, options)
    return compressed


def _searched(
    net: nn.Module, data: tuple[Tensor, Tensor], ms: float, priced: BlockMilliseconds, options: Mapping[str, Any]
) -> Compressed:
    if ms <= priced.least_ms:
        raise ValueError(
            f"{ms=:g}: without any block the net takes {priced.least_ms:.4g} ms: narrow it first, see "
            "`qwedge run pruning_search --set ms=N`"
        )
    all_blocks = sum(priced.added_ms.values())
    share = min((ms - priced.least_ms) / all_blocks, 1.0)
    skip = tuple(priced.dense)
    return compress(net, data, on=BLOCK, price=priced, budget=share, loss=cross_entropy, skip=skip, **options)


@torch.no_grad()
def _taught(teacher: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    answers = torch.cat([teacher(part).softmax(1) for part in x.split(BATCH)])
    return (answers + one_hot(y, answers.shape[1])) / 2


def _fixed(
    net: nn.Module,
    data: tuple[Tensor, Tensor],
    input: Format,
    tuning: Schedule,
    seed: int,
    progress: Progress | None,
) -> F8Net:
    """The net in fixed point, trained with its zeros held."""
    net, (x, y) = copy.deepcopy(net), data
    for layer in net.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear) and bool((layer.weight == 0).any()):
            keep_zeros(layer, layer.weight != 0)
    fixed = F8Net(net, shape=tuple(x.shape[1:]), input=input, sparse=True).calibrate(x[:CALIBRATION])
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        picked = torch.randint(len(x), (min(tuning.batch, len(x)),), generator=generator)
        return cross_entropy(fixed(x[picked]), y[picked])

    fixed.train()
    descend(list(fixed.parameters()), loss, tuning, progress=progress, note="training in fixed point")
    return fixed.eval()


def _layers(compiled: Compiled) -> Iterator[SparseLayer]:
    weights = {
        each.output: each.weight.integers
        for each in compiled.net.program.operations
        if isinstance(each, AbstractWeighted)
    }
    for layer in compiled.lowered.layers:
        assert layer.predicted_ms is not None
        kept = float((weights[layer.name] != 0).mean())
        yield SparseLayer(layer.name, kept, layer.format, float(layer.predicted_ms), layer.reason)


@torch.no_grad()
def _accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    right = sum(int((net(a).argmax(1) == b).sum()) for a, b in zip(x.split(BATCH), y.split(BATCH), strict=True))
    return right / len(y)


def _accuracy_compiled(compiled: Compiled, input: Format, x: Tensor, y: Tensor) -> float:
    [outputs] = compiled.net(input.to_integers(x.numpy()))
    return float((outputs.reshape(len(outputs), -1).argmax(1) == y.numpy()).mean())
