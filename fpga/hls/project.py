"""A project of hls4ml: written for a vendor's tool, compiled and run here, compared layer by layer."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fpga.design.stream import ends
from fpga.hls.abstract import TOP, AbstractProject, quiet
from fpga.hls.backends import BACKENDS, Backend
from fpga.hls.layers import Layer, layers
from shared.integer import AbstractPool, Flatten, Linear, Program, Requantise, run
from shared.integer.format import Integers

STRATEGIES = ("Latency", "Resource", "distributed_arithmetic")


@dataclass(frozen=True)
class Comparison:
    """A project that computed every value of the program: how many integers were compared, value by value."""

    samples: int
    compared: dict[str, int]


@dataclass(frozen=True)
class Project(AbstractProject):
    """A written project. The ports of its top function are flat, channels fastest, as in `fpga.design.stream`."""

    program: Program
    layers: tuple[Layer, ...]

    def predict(self, integers: Integers) -> NDArray[np.int64]:
        """The program's output `(B, *shape)` for its input `(B, *shape)`, computed by the compiled C++ (csim).

        Raises `ValueError` before `compile` or `check`, and for integers that the input's format does not hold.
        """
        self.require_compiled()
        return self._integers(self.layers[-1], self.graph.predict(self._reals(integers)), len(integers))

    def check(self, integers: Integers) -> Comparison:
        """Compiles the project so that each layer leaves a trace, and compares all of them with `shared.integer.run`.

        Raises `ValueError` naming the first value that differs, `OSError` as `compile`.
        """
        self.require(self.backend.compiler, "check()")
        if not len(integers):
            raise ValueError("check() needs at least one sample, got none")
        reals, expected = self._reals(integers), run(self.program, integers)
        with quiet(f"{self.folder} does not compile"):
            result, traces = self.graph.trace(reals)
        traces[self.layers[-1].name] = result
        sources = {layer.name: layer for layer in self.layers}
        compared = {}
        for layer in self.layers[1:]:
            if layer.name in traces:
                compared[layer.value] = self._compare(layer, traces[layer.name], expected[layer.value])
            elif layer.precision["result"] != sources[layer.attributes["inputs"][0]].precision["result"]:
                raise ValueError(f"hls4ml dropped {layer.value!r}, which is no identity: do not use this project")
        return Comparison(len(integers), compared)

    def _reals(self, integers: Integers) -> NDArray[np.float64]:
        (input,) = self.program.inputs
        input.require(integers)
        return np.ascontiguousarray(input.format.from_integers(self.layers[0].gather(integers)))

    def _integers(self, layer: Layer, reals: Any, count: int) -> NDArray[np.int64]:
        value = self.program.values[layer.value]
        scaled = np.asarray(reals, np.float64) / value.format.step
        if (scaled != np.rint(scaled)).any():
            raise ValueError(
                f"hls4ml computes {layer.value!r} in finer steps than {value.format}: do not use this project"
            )
        return layer.scatter(scaled.astype(np.int64).reshape(count, math.prod(value.shape)), value.shape)

    def _compare(self, layer: Layer, reals: Any, expected: NDArray[np.int64]) -> int:
        actual = self._integers(layer, reals, len(expected))
        if differ := int((actual != expected).sum()):
            raise ValueError(
                f"hls4ml computes {layer.value!r} otherwise: {differ} of {actual.size} integers differ "
                f"({layer.attributes['class_name']}, {self.backend.title}): do not use this project"
            )
        return actual.size


def lower(
    program: Program,
    folder: str | Path,
    *,
    backend: str = "vitis",
    part: str | None = None,
    clock_ns: float = 5.0,
    reuse: int = 1,
    strategy: str = "Latency",
    io: Literal["io_parallel", "io_stream"] = "io_parallel",
) -> Project:
    """Writes a complete project of hls4ml that computes `program` bit for bit, and returns it.

    `backend` is one of vitis, vivado, quartus, catapult, which g++ runs here, oneapi and libero, which only the
    vendor's compiler runs; hls4ml 1.3.0 comes without a file that libero needs, and says so. `part` is the vendor's
    name of a device, hls4ml's default if `None`; `reuse` how often a multiplier is used per sample, which hls4ml
    rounds to what it can do. With the strategy Latency, the vendors' tools unroll layers of some thousand weights at
    most: use Resource beyond.

    Raises `ValueError` for what the backend cannot compute, naming the operation and the way out; needs hls4ml.
    """
    kind = check_options(backend, part, clock_ns, reuse, strategy, io)
    ends(program)  # one input, one output
    converted = layers(program, divides=kind.divides)
    _check_layers(program, converted, kind, io)
    try:
        from hls4ml.backends import get_backend
        from hls4ml.model import ModelGraph
        from hls4ml.utils.config import create_config
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("lower needs hls4ml: pip install -e '.[fpga]'") from error
    folder = Path(folder).absolute()
    named = {} if part is None else {"part": part}
    with quiet(f"hls4ml cannot write {folder}"):
        config = create_config(str(folder), TOP, kind.title, clock_period=clock_ns, io_type=io, **named, **kind.options)
        vendor = get_backend(kind.title)
        config["HLSConfig"] = {
            "Model": {"Precision": converted[0].precision["result"], "ReuseFactor": reuse, "Strategy": "latency"},
            "LayerName": {layer.name: _settings(layer, vendor, reuse, strategy) for layer in converted},
        }
        described = [layer.attributes | {"name": layer.name} for layer in converted]
        graph = ModelGraph.from_layer_list(config, described, [converted[0].name], [converted[-1].name])
        graph.write()
    return Project(folder, kind, graph, program, converted)


def _settings(layer: Layer, vendor: Any, reuse: int, strategy: str) -> dict[str, Any]:
    common = {"Precision": layer.precision, "Trace": True}
    if "weight_data" not in layer.attributes:
        return common | {"ReuseFactor": 1}
    *inner, out = layer.attributes["weight_data"].shape
    # hls4ml rounds too, but forgets it for kernels of 1, and an assertion in C++ ends the process
    possible = vendor.get_closest_reuse_factor(vendor.get_valid_reuse_factors(math.prod(inner), out), reuse)
    return common | {"ReuseFactor": possible, "Strategy": strategy.lower()}


def check_options(backend: str, part: str | None, clock_ns: float, reuse: int, strategy: str, io: str) -> Backend:
    """The backend of a name. Raises `ValueError` naming the option that hls4ml or a vendor's script would misread."""
    if backend.lower() not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown: it must be one of {', '.join(BACKENDS)}")
    if part is not None and not re.fullmatch(r"[\w.-]+", part):  # it goes into the vendor's scripts
        raise ValueError(f"part {part!r} must be letters, digits, dots and dashes")
    if not 0 < clock_ns < math.inf:
        raise ValueError(f"Arg `clock_ns` must be a positive number but was {clock_ns}.")
    if reuse < 1:
        raise ValueError(f"Arg `reuse` must be at least 1 but was {reuse}.")
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r} is unknown: it must be one of {', '.join(STRATEGIES)}")
    if strategy == STRATEGIES[2] and backend.lower() not in ("vitis", "vivado"):
        raise ValueError(f"hls4ml has distributed arithmetic for vitis and vivado, not for {backend}")
    if io not in ("io_parallel", "io_stream"):
        raise ValueError(f"io {io!r} is unknown: it must be io_parallel or io_stream")
    return BACKENDS[backend.lower()]


def _check_layers(program: Program, converted: tuple[Layer, ...], kind: Backend, io: str) -> None:
    """Refuses what would fail in C++, where an assertion ends the process."""
    kept = {layer.value for layer in converted}
    for operation in program.operations:
        name = f"{type(operation).__name__} {operation.output!r}"
        if operation.output not in kept:
            continue
        if kind.dense_only and not isinstance(operation, Linear | Requantise | Flatten):
            raise ValueError(f"hls4ml for {kind.title} has dense layers and activations, not {name}: use vitis")
        if io == "io_stream" and isinstance(operation, AbstractPool) and operation.stride != operation.size:
            raise ValueError(
                f"hls4ml streams {name} only with the stride {operation.size} of its window, got {operation.stride}: "
                "use io_parallel"
            )
