"""Integer programs from files of programs, of ONNX and of weights, and from modules of torch and Keras."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.f8net.agreement import Compute
from shared.f8net.net import F8Net
from shared.importers.formats import as_format
from shared.importers.keras import keras_to_torch, require_alike
from shared.importers.onnx import read_float
from shared.importers.onnx_dequantised import NOTE, dequantised, is_quantised
from shared.importers.onnx_runtime import Comparison, require_close, require_equal
from shared.importers.read import FloatNet, errors_name, read_module, read_weights, real_samples, require_ending
from shared.integer import Program, audit
from shared.integer.files import load
from shared.integer.format import Format
from shared.integer.onnx_reader import load_onnx, read_qdq


@dataclass(frozen=True, eq=False)
class NetFile:
    """What a file holds: the integer program, the float net that it stands for, and what was compared and left out."""

    program: Program
    comparison: Comparison | None = None
    """With the runtime of an ONNX file; `None` for files that are read by their own library alone."""
    fixed: F8Net | None = None
    """The net in fixed point that the program comes from, if it was calibrated here."""
    compute: Compute | None = None
    """The float net that was calibrated: real inputs `(n, *shape)` to real outputs."""
    samples: Tensor | None = None
    """Inputs that calibrated it."""
    notes: tuple[str, ...] = ()
    """What was left out, in sentences."""


def read(path: str | Path, *, samples: NDArray[Any] | Tensor | None = None) -> Program:
    """The integer program of a file.

    - `.json`: a program as `shared.integer.files` writes it.
    - `.onnx`: a QDQ model with powers of two as scales, as `shared.integer.onnx_qdq` writes it; or a float model, which
      is calibrated on `samples` and whose input is rounded to 8 bits that hold them. With `samples`, a QDQ model of
      other scales, as ONNX Runtime's tool makes it, is the float model that it stands for, and a note says so. All are
      compared with ONNX Runtime, if that is installed.
    - `.pt2`: a net of `torch.export.save`, which is compared with torch and calibrated like a float model.
    - `.safetensors`: weights, with the layers beside them in `NAME.json` or in the file's metadata, as
      `shared.importers.read.write` writes them; calibrated on `samples`, or on those in the file.

    `samples` are real inputs `(n, *shape)`, channels first. No file is unpickled.

    Raises `OSError` if a file cannot be read and `ValueError`, one line that names the file, if its content is not one
    of these, or was read otherwise than its runtime computes it.
    """
    return read_file(path, samples=samples).program


def read_file(path: str | Path, *, samples: NDArray[Any] | Tensor | None = None) -> NetFile:
    """As `read`, with what the program was compared with and the float net that it stands for."""
    path = Path(path)
    ending = require_ending(path, ".json", ".onnx", ".pt2", ".safetensors")
    with errors_name(path):
        if ending == ".json":
            return NetFile(_program(path))
        if ending == ".pt2":
            return _calibrated(read_module(path), samples)
        return _onnx(path, samples) if ending == ".onnx" else _calibrated(read_weights(path), samples)


def from_torch(
    module: nn.Module,
    shape: Sequence[int],
    input_format: Format | str,
    samples: NDArray[Any] | Tensor,
    word: int = 8,
) -> Program:
    """The integer program of a module, calibrated on real inputs `(n, *shape)`; `input_format` such as `"s8.4"`.

    Raises `ValueError` naming the layer that has no integers, and the way out; see `shared.f8net.F8Net`.
    """
    return _fixed(module, tuple(shape), as_format(input_format), real_samples(samples, tuple(shape)), word).program()


def from_keras(model: Any, input_format: Format | str, samples: NDArray[Any], word: int = 8) -> Program:
    """The integer program of a Keras model, calibrated on real inputs as Keras takes them, channels last.

    The program is channels first: `numpy.moveaxis(x, -1, 1)`. The torch module is compared with Keras on a few samples.
    Raises as `from_torch` and `keras_to_torch`.
    """
    module, shape = keras_to_torch(model)
    channels_last = np.asarray(samples, np.float32)
    channels_first = real_samples(np.moveaxis(channels_last, -1, 1), shape)
    require_alike(model, module, channels_last[:8])
    return from_torch(module, shape, input_format, channels_first, word)


def _program(path: Path) -> Program:
    try:
        return load(path)
    except RecursionError as error:
        raise ValueError("it is nested too deep to be a program") from error
    except ValueError:
        weights = path.with_suffix(".safetensors")
        if weights.exists():
            raise ValueError(f"it holds no program, but perhaps the layers of {weights}: read that") from None
        raise


def _onnx(path: Path, samples: NDArray[Any] | Tensor | None) -> NetFile:
    model = load_onnx(path)
    if any(node.op_type in ("Quant", "IntQuant", "BipolarQuant") for node in model.graph.node):
        raise ValueError("it is QONNX: lower it by fpga.hls.from_qonnx, or export QDQ")
    notes: tuple[str, ...] = ()
    if is_quantised(model):
        try:
            qdq = read_qdq(model)
        except ValueError:
            if samples is None:
                raise
            model, notes = dequantised(model), (NOTE,)
        else:
            return NetFile(qdq.program, require_equal(model, qdq.program, qdq.tensors), notes=qdq.notes)
    net = read_float(model)
    read = _calibrated(FloatNet(net.module, net.shape, words=net.words), samples)
    assert read.samples is not None
    assert read.compute is not None
    numbers = read.samples.numpy().astype(np.int64 if net.words else np.float32)
    compared = require_close(model, read.compute, net.tensor, numbers, audit(read.program).macs)
    return replace(read, comparison=compared, notes=(*net.notes, *notes))


def _calibrated(net: FloatNet, samples: NDArray[Any] | Tensor | None) -> NetFile:
    chosen = net.samples if samples is None else samples
    if chosen is None:
        needed = f"give samples (n, {', '.join(map(str, net.shape))}) to calibrate"
        way_out = ", or write them into it" if net.input_format else ""  # a .safetensors file may hold samples
        raise ValueError(f"it holds floating-point weights: {needed}{way_out}")
    reals = real_samples(chosen, net.shape)
    fixed = _fixed(net.module, net.shape, net.input_format or net.word_format or _format_for(reals), reals, net.word)

    def compute(x: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad():
            computed: NDArray[Any] = net.module(torch.from_numpy(np.asarray(x, np.float32))).numpy()
            return computed

    return NetFile(fixed.program(), fixed=fixed, compute=compute, samples=reals)


def _fixed(module: nn.Module, shape: tuple[int, ...], input: Format, samples: Tensor, word: int) -> F8Net:
    return F8Net(module, shape=shape, input=input, word=word).calibrate(samples).eval()


def _format_for(samples: Tensor) -> Format:
    """Eight signed bits that hold the largest sample."""
    top = float(samples.abs().max()) or 1.0
    fraction = 7 - max(int(np.ceil(np.log2(top * 128 / 127))), -8)
    return Format(8, fraction)
