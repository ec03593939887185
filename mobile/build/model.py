"""The net that a setting names: its files, their hashes, and its integer program."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mobile.build.example import example
from shared.f8net.convert import NetFile, read_file
from shared.importers.arrays import load_array
from shared.importers.read import FloatNet, read_module
from shared.integer.onnx_reader import external_weights
from shared.lab import hash_file


def require_files(*paths: str) -> None:
    """Raises `FileNotFoundError` for a path that is named and not there."""
    for path in filter(None, paths):
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such file")


def data_files(model: str, samples: str) -> Mapping[str, str]:
    """The hashes of everything that a net is read from."""
    path = Path(model)
    named = {"model": path, "samples": Path(samples), "spec": path.parent / f"{path.stem}.json"}
    if path.suffix.lower() == ".onnx" and path.is_file():  # their bytes are the net's as well
        named |= {f"weights {place}": each for place, each in enumerate(external_weights(path))}
    return {name: hash_file(each) for name, each in named.items() if each.is_file()}


def read_net(model: str, samples: str, rng: np.random.Generator, shape: str = "") -> NetFile:
    """The net of a file, calibrated on `samples` where it is of floats; without a file, the example.

    Raises `ValueError` for a `shape`: integers have that of their samples.
    """
    if shape:
        raise ValueError(f"shape {shape!r} is for numbers 'float32': fix that of a net of integers when it is exported")
    if not model:
        return NetFile(example(rng))
    return read_file(model, samples=load_array(samples) if samples else None)


def read_float_net(model: str, format: str, shape: str = "") -> FloatNet:
    """The module of a file, whose floats stay as they are; `shape`, such as 3x48x192, where ONNX leaves it open.

    Raises `ValueError` without a file, for a format that is one of integers, or a shape that is none.
    """
    if format != "auto":
        raise ValueError(f"format {format!r} is of integers: layers of floats leave out 16x1 blocks of zeros")
    if not model:
        raise ValueError("numbers 'float32' need a model: ONNX, or safetensors with a spec beside it")
    sizes = shape.split("x") if shape else []
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise ValueError(f"shape {shape!r} must be sizes with x between them, such as 3x48x192")
    return read_module(model, tuple(map(int, sizes)))


def net_name(model: str) -> str:
    """What tables call it."""
    return Path(model).stem or "example"
