"""Cases of the folder `fpga`, and of nets and samples in the folder `reliability` beside it."""

import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.cases.case import Case, Wrong, qwedge, refused
from fpga.build.flow import DesignConstraints, generate_design
from fpga.design.devices import device
from fpga.folded import plan
from fpga.unrolled.generate import unroll
from shared.f8net.agreement import agreement
from shared.f8net.convert import NetFile, from_torch, read_file
from shared.importers.onnx_runtime import OnnxRuntime
from shared.integer import Constant, Input, Linear, Program, Requantise, run
from shared.integer.c_header import c_header
from shared.integer.format import Format
from shared.integer.onnx_reader import load_onnx

S8 = Format(8, 4)
AUTO_ENCODER = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640)
"""MLPerf Tiny's, for machine sounds."""


def _read(folder: Path, name: str) -> NetFile:
    samples = folder / f"{name}.npy"
    return read_file(folder / f"{name}.onnx", samples=np.load(samples) if samples.exists() else None)


def _equal(name: str, *, steps: int = 0) -> Callable[[Path], None]:
    """The integers of a QDQ model are those of ONNX Runtime, on samples beyond both ends of the input's format."""

    def check(folder: Path) -> None:
        program, model = _read(folder, name).program, load_onnx(folder / f"{name}.onnx")
        (input,) = program.inputs
        reach = 2 * max(-input.format.low, input.format.high) * input.format.step
        x = np.random.default_rng(0).uniform(-reach, reach, (100, *input.shape)).astype(np.float32)
        (expected,) = OnnxRuntime(model, [model.graph.output[0].name])(x)
        output = program.outputs[0]
        format = program.values[output].format
        actual = format.from_integers(run(program, input.format.to_integers(x))[output])
        worst = float(np.abs(actual - expected).max() / format.step)
        if worst > steps:
            raise Wrong(f"{input.format}, {worst:g} steps beside ONNX Runtime")

    return check


def _close(name: str, tensor: str = "y") -> Callable[[Path], None]:
    """The integer net of a float model answers as ONNX Runtime does, within what 8 bits lose."""

    def check(folder: Path) -> None:
        file, samples = _read(folder, name), np.load(folder / f"{name}.npy").astype(np.float32)
        runtime = OnnxRuntime(load_onnx(folder / f"{name}.onnx"), [tensor])
        result = agreement(lambda x: runtime(x)[0], file.program, samples)
        if result.correlation is None or result.correlation < 0.99:
            raise Wrong(f"correlation {result.correlation}")

    return check


def _warns(folder: Path) -> None:
    file = _read(folder, "case07")
    if file.compute is None or file.samples is None:
        raise Wrong("no float net to compare with")
    result = agreement(file.compute, file.program, file.samples.numpy())
    if not result.warning:
        raise Wrong(f"no warning at a correlation of {result.correlation}")


def _softmax(folder: Path) -> None:
    _close("case08", "t")(folder)
    if not any("Softmax" in note for note in _read(folder, "case08").notes):
        raise Wrong("it is left out without a word")


def _header(folder: Path) -> None:
    header = c_header(_read(folder, "case05").program)
    if " int[" in header:
        raise Wrong("a value is called int")
    _equal("case05")(folder)


def _dense(sizes: Sequence[int]) -> Program:
    rng, steps, source = np.random.default_rng(0), [], "x"
    for n, (inputs, outputs) in enumerate(pairwise(sizes)):
        weight = Constant(rng.integers(-127, 128, (outputs, inputs)), Format(8, 7))
        steps += [Linear((source,), f"h{n}", weight), Requantise((f"h{n}",), f"y{n}", S8)]
        source = f"y{n}"
    return Program((Input("x", (sizes[0],), S8),), tuple(steps), (source,))


def _fits(name: str, sizes: Sequence[int], intervals: Sequence[int | None]) -> Callable[[Path], None]:
    def check(folder: Path) -> None:
        program, target = _dense(sizes), device(name)
        for interval in intervals:
            planned = plan(program, target, interval=interval)
            if interval is not None and planned.interval > interval:
                raise Wrong(f"interval={planned.interval} where {interval} was asked for")
            lacks = planned.needs(target.family).deficit(target.capacity)
            if lacks.bram or lacks.dsp:
                raise Wrong(f"interval={interval} is planned but lacks {lacks}")

    return check


def _refuses(name: str, *words: str, samples: str = "") -> Callable[[Path], None]:
    """`qwedge synth` refuses a file in one line and writes nothing."""

    def check(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as empty:
            here = Path(empty)
            model = folder / name
            more = ["--samples", str(folder / samples)] if samples else []
            refused(qwedge("synth", str(model), *more, "--out", "out", folder=here), *words)
            if left := [path.name for path in here.iterdir() if path != model]:
                raise Wrong(f"{left} were written")

    return check


def _zeros(folder: Path) -> None:
    for module, shape in ((nn.Linear(3, 2), (3,)), (nn.Conv1d(2, 3, 3), (2, 8))):
        try:
            from_torch(module, shape, S8, np.zeros((9, *shape), np.float32))
        except ValueError as error:
            if "0" in str(error):
                continue
        raise Wrong("zeros calibrate a net")


def _jet(folder: Path) -> None:
    torch.manual_seed(0)
    sizes = (16, 64, 32, 32, 5)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    samples: NDArray[Any] = np.random.default_rng(0).normal(size=(256, 16)).astype(np.float32)
    program = from_torch(nn.Sequential(*layers[:-1]), (16,), "s8.5", samples)
    constraints = DesignConstraints(style="unrolled", unrolled_macs=10_000)
    if generate_design(program, device("ecp5-85k"), constraints).design.latency > 100:
        raise Wrong("more than 100 clocks")


def _lint(folder: Path) -> None:
    unrolled = unroll(_dense((6, 4, 3)))
    if "WIDTHTRUNC" in unrolled.verilog:
        raise Wrong("top.v names WIDTHTRUNC")


def _beside(name: str, *words: str, samples: str = "") -> Callable[[Path], None]:
    check = _refuses(name, *words, samples=samples)
    return lambda folder: check(folder.parent / "reliability")


RUNTIME = "equal to ONNX Runtime bit for bit"

CASES = [
    Case("01 output_dtype", RUNTIME, _equal("case01")),
    Case("02 int4", RUNTIME, _equal("case02")),
    Case(
        "04 dense 512 -> 128 on ecp5-25k",
        "a plan at every interval",
        _fits("ecp5-25k", (512, 128), (None, 70000, 20000, 9000, 6000, 4096)),
    ),
    Case("04 auto-encoder on ecp5-85k", "a plan", _fits("ecp5-85k", AUTO_ENCODER, (None,))),
    Case("05 a word of C", "a header that compiles", _header),
    Case("07 features 10,000 times as large", "a warning", _warns),
    Case("08 Softmax at the end", "left out, and said", _softmax),
    Case("10 weights beside the model", "as ONNX Runtime computes", _close("case10")),
    Case("11 x.view(x.size(0), -1)", "a Flatten", _close("case11")),
    Case(
        "12 a scale that is no power of two", "the way to the float model", _refuses("case12.onnx", "float", "samples")
    ),
    Case("12b a zero point of 128", "the way to the float model", _refuses("case12b.onnx", "float", "samples")),
    Case("14 two DequantizeLinear of one", RUNTIME, _equal("case14")),
    Case("15 a bias of one number", "as ONNX Runtime computes", _close("case15")),
    Case("17 Clip before int8", RUNTIME, _equal("case17")),
    Case("18 jet tagging unrolled", "a design", _jet),
    Case("19 Verilog of unrolled nets", "no word that Verilator 5.006 lacks", _lint),
    Case("22 GlobalAveragePool over 8 x 8", RUNTIME, _equal("case22")),
    Case("23 a batch norm in front", "as ONNX Runtime computes", _close("case23")),
    Case("25 a constant added behind MatMul", RUNTIME, _equal("case25")),
    Case("ok01 a convolution that ends flat", RUNTIME, _equal("ok01")),
    Case("samples of zeros", "refused", _zeros),
    Case(
        "reliability 18 a cut .npz",
        "refused",
        _beside("case23_huge_input.onnx", "case18_eof", samples="case18_eof.npz"),
    ),
    Case(
        "reliability 18 an empty .npy",
        "refused",
        _beside("case23_huge_input.onnx", "case18", samples="case18_empty.npy"),
    ),
    Case("reliability 21 weights elsewhere", "refused", _beside("case21_ext_initializer.onnx", "outside", "folder")),
    Case("reliability 23 a huge input", "refused", _beside("case23_huge_input.onnx", "4,398,046,511,104")),
    Case("reliability 24 a huge weight", "refused", _beside("case24_huge_dims.onnx", "complete")),
]
