"""Whole nets, of integers and of floats, beside the other runtimes."""

import time
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch

from benchmarks.mobile.nets import float_subject, mobilenet_v2, resnet18
from benchmarks.mobile.peers import exported, peer_runs, quantised
from benchmarks.mobile.settings import MobileSettings
from mobile.build.compile import compile_program
from mobile.build.compile_floats import compile_floats
from mobile.pricing.calibration import calibrated, timings
from mobile.pricing.net import net_latency
from qwedge.experiments.runtimes import Run, interleaved, ours
from shared.f8net.convert import from_torch
from shared.lab import JSON, Context

NETS = {"mobilenet_v2": mobilenet_v2, "resnet18": resnet18}
FLOAT_NETS = ("efficientformer_l1", "bert", "super_resolution")


def whole_net(cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
    torch.manual_seed(int(context.rng.integers(2**31)))
    net = NETS[cell.subject]().eval()
    shape, size = (3, 224, 224), 224
    x = context.rng.standard_normal((4, *shape)).astype(np.float32).clip(-4, 3.9)
    began = time.perf_counter()
    floats = compile_floats(net, [shape], context.rng, count=1)
    seconds = time.perf_counter() - began
    context.progress(1, 4, f"{cell.subject} at {size} pixels: floats compiled")
    program = from_torch(net, shape, "s8.5", x)
    compiled = compile_program(program, context.rng, price=calibrated(), count=2)
    context.progress(2, 4, "integers compiled")
    integers = program.inputs[0].format.to_integers(x[:1])
    y = np.empty((1, 1000), np.float32)
    runs = {"ours int8": ours(compiled.net, integers), "ours fp32": partial(floats.net.run, [x[:1].copy()], [y])}
    model = exported(net, torch.zeros(1, *shape))
    peers, missing = peer_runs({"fp32": (model, x[:1]), "int8": (quantised(model, x), x[:1])})
    context.progress(3, 4, "timing")
    return {
        "instructions": compiled.net.instructions,
        "missing": missing,
        "max_rel_error": max(floats.errors.values()),
        "mismatches": sum(check.mismatches for check in compiled.checks),
        "compile_s": seconds,
        "library_kib": {"int8": len(compiled.shared_library) / 1024, "fp32": len(floats.shared_library) / 1024},
        "arena_kib": {"int8": compiled.lowered.arena / 1024, "fp32": floats.lowered.arena / 1024},
        **interleaved(runs | peers, cell.rounds),
    }


def float_net(cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
    """A net whose kernels are of floats alone, beside the peers and beside its prediction."""
    torch.manual_seed(int(context.rng.integers(2**31)))
    net, example = float_subject(cell.subject, context.rng)
    x = example.numpy()
    began = time.perf_counter()
    compiled = compile_floats(net, [example], context.rng, count=1)
    seconds = time.perf_counter() - began
    context.progress(1, 3, f"{cell.subject}: floats compiled")
    y = np.empty((1, *compiled.net.outputs[0]), np.float32)
    runs: dict[str, Run] = {"ours fp32": partial(compiled.net.run, [x.astype(np.float32)], [y])}
    peers, missing = peer_runs({"fp32": (exported(net, example), x)})
    latency = calibrated(context.progress, "float32")
    _, [timed] = timings([compiled.lowered], passes=6)
    context.progress(2, 3, "timing")
    return {
        "instructions": compiled.net.instructions,
        "missing": missing,
        "max_rel_error": max(compiled.errors.values()),
        "compile_s": seconds,
        "library_kib": {"fp32": len(compiled.shared_library) / 1024},
        "arena_kib": {"fp32": compiled.lowered.arena / 1024},
        "pair": [net_latency(net, example, latency, "float32").ms, timed.ms],
        **interleaved(runs | peers, cell.rounds),
    }
