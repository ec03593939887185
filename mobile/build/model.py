"""The net that a setting names: its files, their hashes, and its integer program."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mobile.build.example import example
from mobile.build.stored import net_file
from shared.f8net.convert import NetFile, read_file
from shared.importers.arrays import load_array
from shared.importers.read import FloatNet, read_module
from shared.integer.onnx_reader import external_weights
from shared.lab import hash_file


def require_files(model: str, samples: str) -> None:
    """Raises `OSError` for what is named and is no file that can be read, `ValueError` for a row that is not one."""
    if samples:
        with Path(samples).open("rb"):
            pass
    if model:
        with net_file(model):
            pass


def data_files(model: str, samples: str) -> Mapping[str, str]:
    """The hashes of everything that a net is read from."""
    hashes = {"samples": hash_file(samples)} if samples else {}
    if not model:
        return hashes
    with net_file(model) as path:
        named = {"model": path, "spec": path.with_suffix(".json")}
        if path.suffix.lower() == ".onnx":  # their bytes are the net's as well
            named |= {f"weights {place}": each for place, each in enumerate(external_weights(path))}
        return hashes | {name: hash_file(each) for name, each in named.items() if each.is_file()}


def read_net(model: str, samples: str, rng: np.random.Generator, shape: str = "") -> NetFile:
    """The net of a file, calibrated on `samples` where it is of floats; without a file, the example.

    Raises `ValueError` for a `shape`: integers have that of their samples.
    """
    if shape:
        raise ValueError(f"shape {shape!r} is for numbers 'float32': fix that of a net of integers when it is exported")
    if not model:
        return NetFile(example(rng))
    with net_file(model) as path:
        return read_file(path, samples=load_array(samples) if samples else None)


def read_float_net(model: str, format: str, shape: str = "") -> FloatNet:
    """The module of a file, whose floats stay as they are; `shape`, such as 3x48x192, where ONNX leaves it open.

    Raises `ValueError` without a file, for a format that is one of integers, or a shape that is none.
    """
    if format != "auto":
        raise ValueError(f"format {format!r} is of integers: layers of floats leave out 16x1 blocks of zeros")
    if not model:
        raise ValueError("numbers 'float32' need a model: ONNX, torch.export, or safetensors with a spec beside it")
    sizes = shape.split("x") if shape else []
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise ValueError(f"shape {shape!r} must be sizes with x between them, such as 3x48x192")
    with net_file(model) as path:
        return read_module(path, tuple(map(int, sizes)))


def net_name(model: str) -> str:
    """What tables call it."""
    if not model:
        return "example"
    with net_file(model) as path:
        return path.stem
