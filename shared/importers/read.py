"""Files of float nets as torch modules: lists of layers, ONNX, torch.export. Nothing is unpickled."""

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.importers import spec
from shared.importers.formats import as_format
from shared.importers.onnx import read_float
from shared.importers.onnx_dequantised import NOTE, dequantised, is_quantised
from shared.integer.format import Format
from shared.integer.onnx_reader import load_onnx
from shared.lab.records.json_log import write_atomic

SAMPLES = "samples"  # the tensor in a file of weights that calibrates them
PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".keras", ".h5", ".npy", ".npz")


@dataclass(frozen=True, eq=False)
class FloatNet:
    """A net in floating point, and what its file says of its inputs."""

    module: nn.Module
    shape: tuple[int, ...]
    """Of one input, without the batch."""
    input_format: Format | None = None
    """The fixed-point format in which inputs come; `None` if the file does not say."""
    samples: Tensor | None = None
    """Inputs `(n, *shape)` that calibrate the net."""
    word: int = 8
    """Bits of weights and activations in the integer program of the net."""
    words: int = 0
    """How many words there are, if inputs are whole numbers that choose one each."""
    notes: tuple[str, ...] = ()
    """What was left out, in sentences."""

    @property
    def word_format(self) -> Format | None:
        """The format of inputs that are words."""
        return Format(16 if self.words <= 1 << 16 else 31, 0, signed=False) if self.words else None

    @property
    def example(self) -> Tensor:
        """One input `(1, *shape)`: zeros, or words of the whole table."""
        if not self.words:
            return torch.zeros(1, *self.shape)
        return torch.linspace(0, self.words - 1, math.prod(self.shape)).long().reshape(1, *self.shape)


def read_module(path: str | Path, shape: Sequence[int] = ()) -> FloatNet:
    """The float net of a file: `.onnx`, `.pt2` of `torch.export.save`, or `.safetensors` as `write` writes it.

    `shape` is that of an input without the batch, where an ONNX model leaves it open.

    Raises `OSError` if the file cannot be read and `ValueError`, one line that names the file, if it holds no such net.
    """
    path = Path(path)
    ending = require_ending(path, ".onnx", ".pt2", ".safetensors")
    with errors_name(path):
        if ending == ".safetensors":
            return read_weights(path)
        if ending == ".pt2":
            from shared.importers.exported import read_exported  # torch.export takes a second to load
            from shared.importers.exported_file import load_exported

            exported = read_exported(load_exported(path))
            return FloatNet(exported.module, exported.shape, words=exported.words)
        model = load_onnx(path)
        quantised = is_quantised(model)
        net = read_float(dequantised(model) if quantised else model, shape)
        return FloatNet(net.module, net.shape, words=net.words, notes=(*net.notes, *([NOTE] if quantised else [])))


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

    Raises `ValueError` naming a layer that has no entry in `shared.importers.spec`.
    """
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} must end in .safetensors")
    described = spec.Spec(tuple(shape), as_format(input_format), tuple(spec.describe(module)), word)
    tensors = spec.tensors(module)
    if samples is not None:
        tensors[SAMPLES] = real_samples(samples, tuple(shape))
    write_atomic(path, save(tensors))
    write_atomic(path.with_suffix(".json"), json.dumps(described.to_json_data(), indent=1).encode())


def read_weights(path: Path) -> FloatNet:
    """The net of a `.safetensors` file: its layers stand beside it in `NAME.json` or in its metadata.

    Raises `OSError` if the file cannot be read, `ValueError` if it is corrupt or does not fit its layers.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("weights need safetensors: pip install -e '.[fpga]'") from error
    os.stat(path)  # a missing file is an OSError of its own
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            metadata = (file.metadata() or {}).get("spec")
    except (SafetensorError, KeyError, AttributeError, RuntimeError, TypeError) as error:
        raise ValueError(f"incomplete or corrupt safetensors file: {error}") from error
    described = spec.from_json_data(_layers(path, metadata))
    samples = tensors.pop(SAMPLES, None)
    module = spec.fill(spec.build(described.layers), tensors)
    return FloatNet(module, described.input, described.format, samples, described.word)


def real_samples(samples: NDArray[Any] | Tensor, shape: tuple[int, ...]) -> Tensor:
    """Samples as float32 `(n, *shape)`.

    Raises `ValueError` for another shape, none of them, NaN and infinity, complex numbers, or zeros alone.
    """
    raw = torch.as_tensor(samples)
    if raw.is_complex():
        raise ValueError(f"samples must be real numbers, got {raw.dtype}: give real and imaginary parts as channels")
    tensor = raw.to(torch.float32)
    if tensor.shape[1:] != shape or not len(tensor):
        raise ValueError(f"samples must be (n, {', '.join(map(str, shape))}), got {tuple(tensor.shape)}")
    if not torch.isfinite(tensor).all():
        raise ValueError("samples must be finite numbers, got NaN or infinite ones")
    if not tensor.any():
        raise ValueError(f"samples must say how large inputs are, but all {len(tensor)} are 0: give inputs of the task")
    return tensor


def require_ending(path: Path, *endings: str) -> str:
    """The ending of a file, in lower case. Raises `ValueError` unless it is one of `endings`."""
    ending = path.suffix.lower()
    if ending in PICKLES:
        raise ValueError(f"{path} may hold code: load it yourself, then write() the module, or call from_keras")
    if ending not in endings:
        its = f"got {path.suffix!r}" if path.suffix else "its name has no ending"
        raise ValueError(f"{path} must be a file {', '.join(endings)}: {its}")
    return ending


@contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Every `ValueError` inside becomes one line that names the file."""
    try:
        yield
    except ValueError as error:
        line = str(error).splitlines()[0]
        raise ValueError(line if str(path) in line else f"{path}: {line}") from error


def _layers(path: Path, metadata: str | None) -> Any:
    beside = path.with_suffix(".json")
    if metadata is None and not beside.exists():
        raise ValueError(f"its layers are missing: write them into {beside}, or into its metadata as 'spec'")
    source = "its metadata" if metadata is not None else str(beside)
    try:
        return json.loads(beside.read_bytes() if metadata is None else metadata)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source} is not valid JSON: {str(error).splitlines()[0]}") from error
