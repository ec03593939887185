"""Where integer programs come from: files of programs, of ONNX and of weights, and modules of torch and Keras."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.f8net import F8Net
from shared.importers import spec
from shared.importers.formats import parse
from shared.importers.keras import keras_to_torch, require_alike
from shared.importers.onnx import to_torch
from shared.integer import Program
from shared.integer.files import load
from shared.integer.format import Format
from shared.integer.onnx_reader import from_onnx, load_onnx
from shared.lab.records.lines import write_whole

SAMPLES = "samples"  # the tensor in a file of weights that calibrates them
PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".keras", ".h5", ".npy", ".npz")


def read(path: str | Path, *, samples: NDArray[Any] | Tensor | None = None) -> Program:
    """The integer program of a file.

    - `.json`: a program as `shared.integer.files` writes it.
    - `.onnx`: a QDQ model with powers of two as scales, as `shared.integer.onnx_qdq` writes it; or a float model, which
      is calibrated on `samples` and whose input is rounded to 8 bits that hold them.
    - `.safetensors`: weights, with the layers beside them in `NAME.json` or in the file's metadata, as `write` writes
      them; calibrated on `samples`, or on those in the file.

    `samples` are real inputs `(n, *shape)`, channels first. No file is unpickled.

    Raises `OSError` if a file cannot be read and `ValueError`, one line that names the file, for what it does not hold.
    """
    path = Path(path)
    readers = {".json": _program, ".onnx": _onnx, ".safetensors": _weights}
    if path.suffix.lower() in PICKLES:
        raise ValueError(f"{path} may hold code: load it yourself, then write() the module, or call from_keras")
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path} must be a file {', '.join(readers)}, got {path.suffix or 'no ending'!r}")
    try:
        return readers[path.suffix.lower()](path, samples)
    except ValueError as error:
        line = str(error).splitlines()[0]
        raise ValueError(line if str(path) in line else f"{path}: {line}") from error


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
    net = F8Net(module, shape=tuple(shape), input=_format(input_format), word=word)
    return net.calibrate(_samples(samples, tuple(shape))).eval().program()


def from_keras(model: Any, input_format: Format | str, samples: NDArray[Any], word: int = 8) -> Program:
    """The integer program of a Keras model, calibrated on real inputs as Keras takes them, channels last.

    The program is channels first: `numpy.moveaxis(x, -1, 1)`. What was read is compared with Keras on a few samples.
    Raises as `from_torch` and `keras_to_torch`.
    """
    module, shape = keras_to_torch(model)
    given = np.asarray(samples, np.float32)
    first = _samples(np.moveaxis(given, -1, 1), shape)
    require_alike(model, module, given[:8])
    return from_torch(module, shape, input_format, first, word)


def write(
    module: nn.Module,
    path: str | Path,
    *,
    shape: Sequence[int],
    input_format: Format | str,
    samples: NDArray[Any] | Tensor | None = None,
    word: int = 8,
) -> None:
    """Writes a module as `NAME.safetensors`, its layers beside it in `NAME.json`; `samples` go into the file too.

    Raises `ValueError` naming a layer that `shared.importers.spec` does not know.
    """
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} must end in .safetensors")
    described = spec.Spec(tuple(shape), _format(input_format), tuple(spec.describe(module)), word)
    tensors = spec.tensors(module)
    if samples is not None:
        tensors[SAMPLES] = _samples(samples, tuple(shape))
    write_whole(path, save(tensors))
    write_whole(path.with_suffix(".json"), json.dumps(described.plain(), indent=1).encode())


def _format(given: Format | str) -> Format:
    return given if isinstance(given, Format) else parse(given)


def _samples(samples: NDArray[Any] | Tensor, shape: tuple[int, ...]) -> Tensor:
    given = torch.as_tensor(samples).to(torch.float32)
    if given.shape[1:] != shape or not len(given):
        raise ValueError(f"samples must be (n, {', '.join(map(str, shape))}), got {tuple(given.shape)}")
    if not torch.isfinite(given).all():
        raise ValueError("samples must be finite numbers, got NaN or infinite ones")
    return given


def _program(path: Path, samples: NDArray[Any] | Tensor | None) -> Program:
    try:
        return load(path)
    except RecursionError as error:
        raise ValueError("it is nested too deep to be a program") from error
    except ValueError:
        weights = path.with_suffix(".safetensors")
        if weights.exists():
            raise ValueError(f"it holds no program, but perhaps the layers of {weights}: read that") from None
        raise


def _onnx(path: Path, samples: NDArray[Any] | Tensor | None) -> Program:
    model = load_onnx(path)
    kinds = {node.op_type for node in model.graph.node}
    if kinds & {"Quant", "IntQuant", "BipolarQuant"}:
        raise ValueError("it is QONNX: lower it by fpga.hls.from_qonnx, or export QDQ")
    if kinds & {"QuantizeLinear", "DequantizeLinear"}:
        return from_onnx(model)
    module, shape = to_torch(model)
    if samples is None:
        raise ValueError(
            f"it holds floating-point weights: give samples (n, {', '.join(map(str, shape))}) to calibrate"
        )
    given = _samples(samples, shape)
    return from_torch(module, shape, _holding(given), given)


def _holding(samples: Tensor) -> Format:
    """Eight signed bits that hold the largest sample."""
    top = float(samples.abs().max()) or 1.0
    fraction = 7 - max(int(np.ceil(np.log2(top * 128 / 127))), -8)
    return Format(8, fraction)


def _weights(path: Path, samples: NDArray[Any] | Tensor | None) -> Program:
    tensors, described = _safetensors(path)
    inside = tensors.pop(SAMPLES, None)
    given = inside if samples is None else samples
    module = spec.fill(spec.build(described.layers), tensors)
    if given is None:
        needed = ", ".join(map(str, described.input))
        raise ValueError(
            f"it holds floating-point weights: give samples (n, {needed}) to calibrate, or write them into it"
        )
    return from_torch(module, described.input, described.format, given, described.word)


def _safetensors(path: Path) -> tuple[dict[str, Tensor], spec.Spec]:
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("weights need safetensors: pip install 'qwedge[fpga]'") from error
    os.stat(path)  # a missing file is an OSError of its own
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            inside = (file.metadata() or {}).get("spec")
    except (SafetensorError, KeyError, AttributeError, RuntimeError, TypeError) as error:
        raise ValueError(f"no whole safetensors file: {error}") from error
    return tensors, spec.from_plain(_json(path, inside))


def _json(path: Path, inside: str | None) -> Any:
    beside = path.with_suffix(".json")
    if inside is None and not beside.exists():
        raise ValueError(f"its layers are missing: write them into {beside}, or into its metadata as 'spec'")
    where = "its metadata" if inside is not None else str(beside)
    try:
        return json.loads(beside.read_bytes() if inside is None else inside)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is no JSON: {str(error).splitlines()[0]}") from error
