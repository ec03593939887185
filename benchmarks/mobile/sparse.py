"""Whole nets with a quarter of their blocks beside the other runtimes' dense ones: of integers, and of floats.

Masks and weights are random, so that no accuracy is claimed: it is what the kernels gain at that sparsity. Weights are
normal, as trained ones are, and no branch is near zero.
"""

import copy
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import nn

from benchmarks.mobile.nets import float_subject, mobilenet_v2, resnet18
from benchmarks.mobile.peers import exported, mnn_sparse, peer_runs, quantised
from benchmarks.mobile.settings import MobileSettings
from mobile.build.compile import Compiled, compile_program
from mobile.build.compile_floats import compile_floats
from mobile.pricing.calibration import calibrated
from qwedge.experiments.runtimes import Run, interleaved, ours
from shared.f8net import F8Net
from shared.integer.format import Format
from shared.lab import JSON, Context

INT8_NETS = ("resnet18", "mobilenet_v2", "efficientformer_l1", "bert", "super_resolution")
TWO_THREADS = SPARSE_FLOATS = ("resnet18", "mobilenet_v2")
KEPT = 0.25
_IMAGES: Mapping[str, Callable[[], nn.Module]] = {"resnet18": resnet18, "mobilenet_v2": mobilenet_v2}


def int8_net(cell: MobileSettings, context: Context, threads: int = 1) -> Mapping[str, JSON]:
    """In integers, dense and sparse; several threads are timed by a clock on the wall."""
    torch.manual_seed(int(context.rng.integers(2**31)))
    net, x, format = _subject(cell.subject, context.rng)
    dense = _compiled(net, x, format, context)
    context.progress(1, 4, f"{cell.subject}: dense integers compiled")
    pruned = _compiled(_pruned(net, context.rng, outputs=2, inputs=4), x, format, context)
    context.progress(2, 4, f"a quarter of the blocks of {cell.subject} compiled")
    integers = format.to_integers(x[:1].double().numpy())
    runs: dict[str, Run] = {"ours int8": ours(dense.net, integers), "ours int8 75%": ours(pruned.net, integers)}
    model, samples = exported(net, x[:1]), x.numpy()
    both = {"fp32": (model, samples[:1]), "int8": (quantised(model, samples), samples[:1])}
    peers, missing = peer_runs(both, threads)
    for compiled in (dense, pruned):
        compiled.net.use_threads(threads)
    context.progress(3, 4, "timing")
    return {
        "instructions": dense.net.instructions,
        "missing": missing,
        "mismatches": sum(check.mismatches for each in (dense, pruned) for check in each.checks),
        "executed_macs": {"int8": dense.lowered.executed_macs, "int8 75%": pruned.lowered.executed_macs},
        "sparse_layers": [layer.format for layer in pruned.lowered.layers],
        **interleaved(runs | peers, cell.rounds, time.process_time if threads == 1 else time.perf_counter),
    }


def on_two_threads(cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
    """As `int8_net`, every runtime with two threads."""
    return int8_net(cell, context, threads=2)


def sparse_float_net(cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
    """In floats, with a quarter of the 16 x 1 blocks, beside the dense net in floats."""
    torch.manual_seed(int(context.rng.integers(2**31)))
    net = _IMAGES[cell.subject]().eval()
    pruned = _pruned(net, context.rng, outputs=16, inputs=1)
    x = context.rng.standard_normal((1, 3, 224, 224)).astype(np.float32)
    compiled = compile_floats(pruned, [x.shape[1:]], context.rng, count=1)
    context.progress(1, 2, f"a quarter of the blocks of {cell.subject} compiled")
    runs: dict[str, Run] = {"ours fp32 75%": partial(compiled.net.run, [x], [np.empty((1, 1000), np.float32)])}
    peers, missing = peer_runs({"fp32": (exported(net, torch.from_numpy(x)), x)})
    peers |= mnn_sparse(exported(pruned, torch.from_numpy(x)), x)
    return {
        "instructions": compiled.net.instructions,
        "missing": missing,
        "max_rel_error": max(compiled.errors.values()),
        "executed_macs": {"fp32 75%": compiled.lowered.executed_macs},
        **interleaved(runs | peers, cell.rounds),
    }


def _subject(subject: str, rng: np.random.Generator) -> tuple[nn.Module, torch.Tensor, Format]:
    """A net whose weights are normal, four samples, and the format of its input."""
    if subject in _IMAGES:
        net, example = _IMAGES[subject](), torch.zeros(1, 3, 224, 224)
    else:
        net, example = float_subject(subject, rng)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.normal_(0, float(module.weight.std()))
    if not example.is_floating_point():
        return net.eval(), example.expand(4, *example.shape[1:]).clone(), Format(16, 0, signed=False)
    x = torch.from_numpy(rng.standard_normal((4, *example.shape[1:])).astype(np.float32)).clamp(-4, 3.9)
    for module in net.train().modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # its statistics are those of these samples
    with torch.no_grad():
        net(x)
    return net.eval(), x, Format(8, 5)


def _compiled(net: nn.Module, x: torch.Tensor, format: Format, context: Context) -> Compiled:
    fixed = F8Net(net, shape=x.shape[1:], input=format, sparse=True).calibrate(x).eval()
    return compile_program(fixed.program(), context.rng, price=calibrated(context.progress), count=2)


def _pruned(net: nn.Module, rng: np.random.Generator, outputs: int, inputs: int) -> nn.Module:
    """A quarter of the blocks of all layers but the first, the last and depthwise ones."""
    pruned = copy.deepcopy(net)
    layers = [module for module in pruned.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers[1:-1]:
        rows, columns, *kernel = layer.weight.shape
        if columns == 1 or columns % inputs:
            continue
        kept = torch.from_numpy(rng.random((-(-rows // outputs), columns // inputs, *kernel)) < KEPT)
        with torch.no_grad():
            layer.weight.mul_(kept.repeat_interleave(outputs, 0)[:rows].repeat_interleave(inputs, 1))
    return pruned
