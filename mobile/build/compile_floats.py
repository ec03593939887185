"""A float net becomes a library that was checked."""

import copy
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mobile.build.compile import SAMPLES
from mobile.build.cross import Cross, cross_compile
from mobile.codegen.library import library
from mobile.kernels import Architecture
from mobile.lowering.calls import Lowered
from mobile.lowering.lower_floats import lower_floats
from mobile.runtime.bench import Times, measure
from mobile.runtime.compiler import build
from mobile.runtime.net import CompiledFloatNet
from shared.importers.graph import TracedGraph

TOLERANCE = 1e-5
"""Of the largest magnitude of an output: what 32-bit sums in another order may differ by."""
MARGIN = 3
"""Times what torch's own 32-bit floats are from 64-bit ones, which is more than `TOLERANCE` in deep nets."""


@dataclass(frozen=True, eq=False)
class CompiledFloats:
    """A library whose outputs were within `TOLERANCE` of the module's, or as near as 32-bit floats are."""

    net: CompiledFloatNet
    lowered: Lowered
    files: Mapping[str, bytes]
    errors: Mapping[str, float]
    """The largest difference, by instruction set, over the largest magnitude of the output."""
    shared_library: bytes
    times: Times | None = None
    cross: Cross[Mapping[str, float]] | None = None
    """The same for another architecture, with its own `errors`."""


def compile_floats(
    net: nn.Module,
    examples: Sequence[tuple[int, ...] | torch.Tensor],
    rng: np.random.Generator,
    *,
    rounds: int = 0,
    threads: int = 1,
    samples: Sequence[NDArray[np.float32]] = (),
    count: int = SAMPLES,
    target: Architecture | None = None,
) -> CompiledFloats:
    """The library of a module in evaluation mode; for each input a shape without a batch, or an example `(1, *shape)`.

    It is compared with the module on `count` samples of a normal distribution and on `samples`, with every instruction
    set of this machine. Where an example is of integers, such as tokens, samples are of its numbers in any order; the
    library takes them as floats. `rounds` times every kernel call that often, on `threads` threads, which check and
    net then use. With `target` programs for that architecture are compiled too, and compared in an emulator where there
    is one.

    Raises `ValueError` for an operation that has no kernel, with its name, or where the outputs differ by more than
    `TOLERANCE` and than `MARGIN` times the rounding of torch itself; `CompilerError` without a working compiler.

    >>> block = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.Hardswish())
    >>> compiled = compile_floats(block, [(3, 8, 8)], np.random.default_rng(0))
    >>> compiled.net(np.zeros((2, 3, 8, 8)))[0].shape, compiled.errors["plain"] < 1e-5
    ((2, 8, 4, 4), True)
    """
    with evaluating(net):
        graph = TracedGraph.of(net, *examples)
    shapes = [node.shape for node in graph.inputs]
    lowered = lower_floats(graph)
    files = library(lowered)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        file = build(files, folder, "net.so", shared=True)
        outputs = [graph[name].shape for name in graph.outputs]
        compiled = CompiledFloatNet(file, shapes, outputs)
        compiled.use_threads(threads)
        random = [_samples(each, count, rng) for each in examples]
        compared = [random, *([samples] if len(samples) else [])]
        errors = _near(compiled, net, compared)
        times = measure(files, folder, rounds, threads) if rounds else None
        binary = file.read_bytes()
    cross = target and cross_compile(
        files, target, lambda piped: _near(CompiledFloatNet(piped, shapes, outputs), net, compared)
    )
    return CompiledFloats(compiled, lowered, files, errors, binary, times, cross)


def _near(
    compiled: CompiledFloatNet, net: nn.Module, compared: Sequence[Sequence[NDArray[Any]]]
) -> Mapping[str, float]:
    """The errors of every instruction set, the largest of several groups of samples; the first are random."""
    each = [_errors(compiled, net, inputs) for inputs in compared]
    errors = {name: max(group[name] for group in each) for name in each[0]}
    allowed = TOLERANCE
    if not max(errors.values()) <= allowed:
        allowed = max(TOLERANCE, MARGIN * _rounding(net, compared[0]))
    if not max(errors.values()) <= allowed:
        raise ValueError(
            f"the library differs from the net by {max(errors.values()):.2g} of its largest output, more than "
            f"{allowed:.2g}: does the net depend on more than its inputs, or overflow?"
        )
    return errors


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """A net in evaluation mode, which decides what some forward passes compute; then as it was."""
    modes = {module: module.training for module in net.modules()}
    try:
        net.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _samples(example: tuple[int, ...] | torch.Tensor, count: int, rng: np.random.Generator) -> NDArray[Any]:
    if not isinstance(example, torch.Tensor):
        return rng.standard_normal((count, *example)).astype(np.float32)
    if example.is_floating_point():
        return rng.standard_normal((count, *example.shape[1:])).astype(np.float32)
    return rng.choice(example.flatten().numpy(), (count, *example.shape[1:]))


def _rounding(net: nn.Module, inputs: Sequence[NDArray[Any]]) -> float:
    """How far a module is from the same in 64-bit floats, of the largest magnitude of an output."""
    exact = copy.deepcopy(net).double()
    tensors = [torch.from_numpy(each) for each in inputs]
    with evaluating(net), evaluating(exact), torch.no_grad():
        pairs = [net(*tensors), exact(*(each.double() if each.is_floating_point() else each for each in tensors))]
    ours, theirs = ([*each] if isinstance(each, tuple | list) else [each] for each in pairs)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs, strict=True))


def _errors(compiled: CompiledFloatNet, net: nn.Module, inputs: Sequence[NDArray[Any]]) -> dict[str, float]:
    with evaluating(net), torch.no_grad():
        result = net(*map(torch.from_numpy, inputs))
    expected = [each.numpy() for each in (result if isinstance(result, tuple | list) else [result])]
    used, errors = compiled.instructions, {}
    for name in compiled.available():
        compiled.use(name)
        errors[name] = max(
            float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), np.finfo(np.float32).tiny))
            for ours, theirs in zip(compiled(*inputs), expected, strict=True)
        )
    compiled.use(used)
    return errors
