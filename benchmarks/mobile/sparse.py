"""Whole nets in integers, dense and with a quarter of their blocks, beside the other runtimes' dense integers.

Masks and weights are random, so that no accuracy is claimed: it is what the kernels gain at that sparsity. Weights are
normal, as trained ones are, and no branch is near zero.
"""

import copy
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from benchmarks.mobile.nets import float_subject, mobilenet_v2, resnet18
from benchmarks.mobile.peers import exported, peer_runs, quantised
from benchmarks.mobile.settings import MobileSettings
from mobile.build.compile import Compiled, compile_program
from mobile.pricing.calibration import calibrated
from qwedge.experiments.runtimes import Run, interleaved, ours
from shared.f8net import F8Net
from shared.integer.format import Format
from shared.lab import JSON, Context

INT8_NETS = ("resnet18", "mobilenet_v2", "efficientformer_l1", "bert", "super_resolution")
KEPT = 0.25
_IMAGES: Mapping[str, Callable[[], nn.Module]] = {"resnet18": resnet18, "mobilenet_v2": mobilenet_v2}


def int8_net(cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
    torch.manual_seed(int(context.rng.integers(2**31)))
    net, x, format = _subject(cell.subject, context.rng)
    dense = _compiled(net, x, format, context)
    context.progress(1, 4, f"{cell.subject}: dense integers compiled")
    pruned = _compiled(_pruned(net, context.rng), x, format, context)
    context.progress(2, 4, f"a quarter of the blocks of {cell.subject} compiled")
    integers = format.to_integers(x[:1].double().numpy())
    runs: dict[str, Run] = {"ours int8": ours(dense.net, integers), "ours int8 75%": ours(pruned.net, integers)}
    model, samples = exported(net, x[:1]), x.numpy()
    peers, missing = peer_runs({"fp32": (model, samples[:1]), "int8": (quantised(model, samples), samples[:1])})
    context.progress(3, 4, "timing")
    return {
        "instructions": dense.net.instructions,
        "missing": missing,
        "mismatches": sum(check.mismatches for each in (dense, pruned) for check in each.checks),
        "executed_macs": {"int8": dense.lowered.executed_macs, "int8 75%": pruned.lowered.executed_macs},
        "sparse_layers": [layer.format for layer in pruned.lowered.layers],
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


def _pruned(net: nn.Module, rng: np.random.Generator) -> nn.Module:
    """A quarter of the 2 x 4 blocks of all layers but the first, the last and depthwise ones."""
    pruned = copy.deepcopy(net)
    layers = [module for module in pruned.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers[1:-1]:
        outputs, inputs, *kernel = layer.weight.shape
        if outputs % 2 or inputs % 4:
            continue
        kept = torch.from_numpy(rng.random((outputs // 2, inputs // 4, *kernel)) < KEPT)
        with torch.no_grad():
            layer.weight.mul_(kept.repeat_interleave(2, 0).repeat_interleave(4, 1))
    return pruned
