"""Radar nets and what each technique makes of them: timed on this machine, beside ONNX Runtime; planned for an FPGA."""

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mobile.runtime.compiler import find
from shared.integer import Program
from shared.lab import JSON
from wireless.radar.compression.early_exit import EarlyExit
from wireless.radar.experiment.run import Radar, RadarSettings

CLOCK_MHZ: Final = 100
"""Of a plan for an FPGA: what place and route reaches on an ECP5 for nets like these (docs/fpga.md)."""
ROUNDS: Final = 51
"""Windows that each runtime is timed for; the median counts."""


class TimedRadar(Radar):
    """Tell radar waveforms apart by small nets, beside the Bayes bound.

    One cell is one net and one seed: its training, and its answers on pulses that nothing was trained on.
    """

    def cells(self, settings: RadarSettings) -> Sequence[RadarSettings]:
        if settings.timed:
            find()  # which refuses a machine without a compiler
        if settings.device:
            from fpga.design.devices import device

            device(settings.device)  # which refuses an unknown one
        return super().cells(settings)

    def milliseconds(self, net: nn.Module | Program, dense: nn.Module, samples: int) -> Mapping[str, float]:
        x = np.random.default_rng(0).standard_normal((1, 2, samples)).astype(np.float32)
        runs: dict[str, Callable[[], object]] = {"dense in ONNX Runtime": _onnx_runtime(dense, x)}
        if isinstance(net, EarlyExit):
            runs |= {"compiled": _floats(net.first, x), "rest": _floats(net.rest, features(net, x))}
        else:
            runs["compiled"] = _program(net, x) if isinstance(net, Program) else _floats(net, x)
        # All in turn, so that what else the machine does is shared.
        times = medians(runs, ROUNDS)
        if isinstance(net, EarlyExit):
            times["compiled"] += net.onward * times.pop("rest")
        return times

    def planned(self, program: Program, device: str) -> Mapping[str, JSON]:
        return planned(program, device)


def features(net: EarlyExit, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What goes on from the exit."""
    with torch.no_grad():
        return np.asarray(net.front(torch.from_numpy(x)).numpy())


def planned(program: Program, name: str) -> dict[str, JSON]:
    """The fastest folded design that the device holds: windows a second at `CLOCK_MHZ`, estimated resources, and their
    `share` of the fullest kind; where none fits, what it is `short` of, in words.
    """
    from fpga.design.devices import device
    from fpga.folded import plan
    from fpga.pricing import estimate

    target = device(name)
    try:
        folding = plan(program, target)
    except ValueError as error:
        return {"device": name, "short": str(error)}
    needs = asdict(estimate.total(estimate.folded(folding, target)))
    capacity = asdict(target.capacity)
    share = max(needs[kind] / capacity[kind] if capacity[kind] else 0.0 for kind in needs)
    per_second, latency_us = 1e6 * CLOCK_MHZ / folding.interval, folding.latency / CLOCK_MHZ
    return {"device": name, "per_second": per_second, "latency_us": latency_us, "share": share, **needs}


def medians(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of CPU time of each, taken in turns, once untimed before each that is timed."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()
            began = time.process_time()
            run()
            times[name].append(1e3 * (time.process_time() - began))
    return {name: statistics.median(each) for name, each in times.items()}


def _program(program: Program, x: NDArray[np.float32]) -> Callable[[], object]:
    """The library of a program, from arrays to arrays."""
    from mobile.build.compile import compile_program

    net = compile_program(program, np.random.default_rng(0), count=2).net
    [output] = program.outputs
    integers = program.inputs[0].format.to_integers(x).astype(program.inputs[0].format.dtype)
    return partial(net.run, [integers], [np.empty((1, *program.values[output].shape), np.int32)])


def _floats(module: nn.Module, x: NDArray[np.float32]) -> Callable[[], object]:
    from mobile.build.compile_floats import compile_floats

    net = compile_floats(module, [x.shape[1:]], np.random.default_rng(0), count=2).net
    [output] = net(x)
    return partial(net.run, [x], [np.empty(output.shape, np.float32)])


def _onnx_runtime(module: nn.Module, x: NDArray[np.float32]) -> Callable[[], Any]:
    """ONNX Runtime on one thread."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "net.onnx"
        torch.onnx.export(module, (torch.from_numpy(x),), file, dynamo=False, opset_version=17)
        model = file.read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return partial(session.run, None, {session.get_inputs()[0].name: x})
