"""Nanoseconds per executed multiply-accumulate in each format, measured once per machine."""

import json
import tempfile
from pathlib import Path

import numpy as np

from mobile.codegen.library import library
from mobile.kernels import sources
from mobile.lowering.choice import NsPerMac
from mobile.lowering.formats import FORMATS
from mobile.lowering.lower import lower
from mobile.runtime.bench import measure
from mobile.runtime.compiler import find, version
from shared.integer import Constant, Conv2d, Input, Program
from shared.integer.format import Format
from shared.lab import cache_folder, canonical, hash_bytes, provenance, write_atomic

CHANNELS, SIZE, KEPT = 128, 14, 0.25
"""Of the layer that is measured: in the cache of every core, with a quarter of its blocks."""


def measured_price(seed: int = 0) -> NsPerMac:
    """Nanoseconds per executed multiply-accumulate by format, and for `depthwise`, on one thread.

    Measured in seconds, then kept in `QWEDGE_CACHE` for this processor, compiler and version of the kernels. One
    number per format: it leaves out what a call costs by itself and how far weights are from the core, so predictions
    of small layers are too low.
    """
    about = {"cpu": provenance("")["cpu"], "compiler": version(find()), "seed": seed}
    about["kernels"] = {name: hash_bytes(data) for name, data in sources().items()}
    path = cache_folder() / "mobile" / f"price-{hash_bytes(canonical(about).encode())[:24]}.json"
    if path.exists():
        stored: dict[str, float] = json.loads(path.read_text())["ns_per_mac"]
        return stored
    price = {name: _ns(_layer(seed), name) for name in FORMATS} | {"depthwise": _ns(_depthwise(seed), None)}
    write_atomic(path, json.dumps({"about": about, "ns_per_mac": price}, indent=2).encode())
    return price


def _ns(program: Program, format: str | None) -> float:
    net = lower(program, format=format)
    with tempfile.TemporaryDirectory() as folder:
        times = measure(library(net), Path(folder))
    [layer] = net.layers
    [ms] = [ms for name, ms in times.calls.items() if not name.startswith("spread")]
    return ms * 1e6 / layer.executed_macs


def _layer(seed: int) -> Program:
    """A 1x1 convolution of which a quarter of the blocks of every format holds weights."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-127, 128, (CHANNELS, CHANNELS, 1, 1))
    kept = rng.random((CHANNELS // 4, CHANNELS // 4)) < KEPT
    return _program(Conv2d(("x",), "y", Constant(weight * np.kron(kept, np.ones((4, 4), int))[:, :, None, None], _S8)))


def _depthwise(seed: int) -> Program:
    weight = np.random.default_rng(seed).integers(-127, 128, (CHANNELS, 1, 3, 3))
    return _program(Conv2d(("x",), "y", Constant(weight, _S8), None, (1, 1), (1, 1), CHANNELS))


_S8 = Format(8, 7)


def _program(layer: Conv2d) -> Program:
    return Program((Input("x", (CHANNELS, SIZE, SIZE), Format(8, 0, signed=False)),), (layer,), (layer.output,))
