"""Radar nets and what each technique makes of them: timed on this machine, beside ONNX Runtime; planned for an FPGA."""

import io
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mobile.runtime.compiler import find
from shared.integer import Program
from shared.lab import JSON
from wireless.radar.compression.early_exit import EarlyExit
from wireless.radar.experiment.page import BAYES
from wireless.radar.experiment.run import Radar, RadarSettings
from wireless.radar.nets.planes import Planes
from wireless.radar.nets.registry import build
from wireless.radar.nets.spectrogram import SpectrogramNet

CLOCK_MHZ: Final = 100
"""Of a plan for an FPGA: what place and route reaches on an ECP5 for nets like these (docs/fpga.md)."""
COMPARED: Final = 20
"""Windows that the RTL of a placed design computes: each takes thousands of clocks."""
CLOSE: Final = 1e-3
"""Largest difference between logits in floating point."""
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
        cells = super().cells(settings)
        for name in {net for cell in cells for net in cell.nets} - {BAYES}:
            net = build(name, len(settings.classes), settings.samples, torch.Generator())
            if settings.timed and not Planes.suits(net):
                raise ValueError(f"timed=True: {name} is no sequence of layers that the compiler takes; leave one out")
            if settings.onnx and isinstance(net, SpectrogramNet):
                raise ValueError(
                    f"onnx=True: the transform of {name} has no form in ONNX of real numbers; leave one out"
                )
        return cells

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

    def planned(self, program: Program, device: str, placed: bool) -> Mapping[str, JSON]:
        plan = planned(program, device)
        return plan | routed(program, device) if placed and "short" not in plan else plan

    def onnx(self, net: nn.Module | Program, samples: int) -> bytes:
        return checked_onnx(net, samples)


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


def routed(program: Program, name: str) -> dict[str, JSON]:
    """That design after place and route for `CLOCK_MHZ`: the clock that it reaches, windows a second at it, and what it
    takes; its RTL has computed `COMPARED` windows as the program does. Where it does not fit, what it is `short` of.
    """
    from fpga.build.flow import DesignConstraints, build_directory, generate_design
    from fpga.build.verify import rtl_check, verify
    from fpga.design.devices import device
    from fpga.synth import build

    target = device(name)
    design = generate_design(program, target, DesignConstraints("folded", CLOCK_MHZ)).design
    report = verify(program, [rtl_check(design, COMPARED)], np.random.default_rng(0))
    if not report.passed:
        raise RuntimeError(f"the RTL differs from its program: {report}")
    try:
        built = build(design, target, build_directory(design), frequency_mhz=CLOCK_MHZ)
    except ValueError as error:
        return {"short": str(error)}
    reached = built.fmax_mhz[built.seed]
    return {"routed_mhz": reached, "routed_per_second": 1e6 * reached / design.interval, "used": asdict(built.used)}


def checked_onnx(net: nn.Module | Program, samples: int) -> bytes:
    """`net` as an ONNX file. ONNX Runtime computes random windows as `net` does: integers bit for bit, floats to
    `CLOSE`. Raises `RuntimeError` where it does not.
    """
    import onnxruntime

    from shared.integer import outputs
    from shared.integer.onnx_qdq import to_onnx

    x = np.random.default_rng(0).standard_normal((4, 2, samples)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    # Its fused kernels saturate sums of 16 bits on some processors; the file is right without them.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    file = to_onnx(net).SerializeToString() if isinstance(net, Program) else _onnx(net, x)
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    [answers] = session.run(None, {session.get_inputs()[0].name: x})
    if isinstance(net, Program):
        [wanted] = outputs(net, net.inputs[0].format.to_integers(x))
        alike = np.array_equal(net.values[net.outputs[0]].format.to_integers(answers), wanted)
    else:
        with torch.no_grad():
            alike = np.allclose(answers, net(torch.from_numpy(x)).numpy(), atol=CLOSE)
    if not alike:
        raise RuntimeError("ONNX Runtime computes other answers from the file than the net does")
    return file


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

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(_onnx(module, x), options, providers=["CPUExecutionProvider"])
    return partial(session.run, None, {session.get_inputs()[0].name: x})


def _onnx(module: nn.Module, x: NDArray[np.float32]) -> bytes:
    """A net in floating point as a file, for any number of windows."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.from_numpy(x),),
            buffer,  # type: ignore[arg-type]  # a file works too
            dynamo=False,
            opset_version=17,
            input_names=["iq"],
            output_names=["logits"],
            dynamic_axes={"iq": {0: "windows"}, "logits": {0: "windows"}},
        )
    return buffer.getvalue()
