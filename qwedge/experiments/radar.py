"""Radar nets and what each technique makes of them, timed on this machine: compiled, and in ONNX Runtime."""

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mobile.runtime.compiler import find
from shared.integer import Program
from wireless.radar.experiment.run import Radar, RadarSettings

ROUNDS: Final = 51
"""Windows that each runtime is timed for; the median counts."""


class TimedRadar(Radar):
    """Tell radar waveforms apart by small nets, beside the Bayes bound.

    One cell is one net and one seed: its training, and its answers on pulses that nothing was trained on.
    """

    def cells(self, settings: RadarSettings) -> Sequence[RadarSettings]:
        if settings.timed:
            find()  # which refuses a machine without a compiler
        return super().cells(settings)

    def milliseconds(self, net: nn.Module | Program, dense: nn.Module, samples: int) -> Mapping[str, float]:
        x = np.random.default_rng(0).standard_normal((1, 2, samples)).astype(np.float32)
        compiled = _program(net, x) if isinstance(net, Program) else _floats(net, x)
        # All in turn, so that what else the machine does is shared.
        return medians({"compiled": compiled, "dense in ONNX Runtime": _onnx_runtime(dense, x)}, ROUNDS)


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
