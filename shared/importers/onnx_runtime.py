"""What an ONNX model computes by its own runtime, and whether that is what was read from it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.integer import Program, audit, run
from shared.integer.onnx_nodes import first_line

if TYPE_CHECKING:
    import onnx

SAMPLES: Final = 200
"""Samples that are compared; fewer of a net so large that it would take long."""
WORK: Final = 1 << 32
"""Multiply-accumulates that a comparison may take."""
EXACT: Final = 1 << 24
"""float32, in which runtimes add dequantised values, counts to here."""
TOLERANCE: Final = 1e-3
"""Of the largest number, between two ways to add up the same products in float32."""

_TYPES: Final = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}

Reals = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Comparison:
    """A net that was read, compared with the runtime of its file."""

    runtime: str
    """Its name and version, or empty if there is none here."""
    samples: int
    seconds: float
    note: str
    """What was compared, or why it was not."""


class OnnxRuntime:
    """A model in ONNX Runtime, without its optimisations, one sample at a time; `tensors` are what it returns.

    Raises `ModuleNotFoundError` without onnxruntime, `ValueError` if it refuses the model.
    """

    def __init__(self, model: "onnx.ModelProto", tensors: Sequence[str]) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("ONNX models are compared by ONNX Runtime: pip install onnxruntime") from error
        from onnx import ModelProto, ValueInfoProto

        copy = ModelProto()
        copy.CopyFrom(model)
        if [value.name for value in copy.graph.output] != list(tensors):
            del copy.graph.output[:]
            copy.graph.output.extend(ValueInfoProto(name=name) for name in tensors)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # its warnings are about the file, and ours
        self.name = f"ONNX Runtime {onnxruntime.__version__}"
        try:
            self.session = onnxruntime.InferenceSession(
                copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # it raises types of its own
            raise ValueError(f"{self.name} cannot run it: {first_line(error)}") from error
        batch = self.session.get_inputs()[0].shape[0]
        self.batch = batch if isinstance(batch, int) else 1

    def __call__(self, *inputs: Reals) -> list[Reals]:
        """The tensors `(B, *shape)` for real inputs `(B, *shape)`; whole numbers where the model wants those."""
        wanted, batches = [(value.name, _TYPES.get(value.type, np.float32)) for value in self.session.get_inputs()], []
        for sample in zip(*inputs, strict=True):
            feeds = {
                name: np.repeat(np.asarray(x, kind)[None], self.batch, axis=0)
                for (name, kind), x in zip(wanted, sample, strict=True)
            }
            try:
                batches.append([tensor[:1] for tensor in self.session.run(None, feeds)])
            except Exception as error:
                raise ValueError(f"{self.name} cannot run it: {first_line(error)}") from error
        return [np.concatenate(tensors) for tensors in zip(*batches, strict=True)]


def require_equal(
    model: "onnx.ModelProto", program: Program, tensors: Sequence[str], exact: bool = False
) -> Comparison:
    """Compares an integer program with the QDQ model that it was read from, bit for bit, on random real inputs.

    They lie between the numbers of the formats, at ties and beyond their ends, on both sides of zero whatever the sign:
    a type that was misread shows. Where sums may pass 2**24, the runtime itself rounds, and one step is allowed, unless
    `exact` says that the model has them in float64.

    Raises `ValueError` if a number differs.
    """
    start = time.perf_counter()
    try:
        runtime = OnnxRuntime(model, tensors)
    except ModuleNotFoundError as error:
        return Comparison("", 0, 0.0, str(error))
    count = _count(audit(program).macs)
    reals = [_reals(np.random.default_rng(place), count, input) for place, input in enumerate(program.inputs)]
    names = [value.name for value in runtime.session.get_inputs()]
    expected = runtime(*reals) if len(names) == len(reals) else None
    if expected is None:
        raise ValueError(f"the model has {len(names)} inputs, {len(reals)} were read")
    values = _run(program, reals)
    exact = exact or all(max(-value.low, value.high) <= EXACT for value in program.values.values())
    for name, tensor, real in zip(program.outputs, tensors, expected, strict=True):
        actual, step = program.values[name].format.from_integers(values[name]), program.values[name].format.step
        allowed = 0.0 if exact else max(step, TOLERANCE * float(np.abs(real).max()))
        if actual.shape != real.shape or (np.abs(actual - real) > allowed).any():
            raise ValueError(_differs(runtime.name, tensor, actual, real))
    how = "bit for bit" if exact else "but for the rounding of float32 beyond 2**24"
    return Comparison(runtime.name, count, time.perf_counter() - start, f"equal to {runtime.name}, {how}")


def require_close(
    model: "onnx.ModelProto", compute: Callable[[Reals], Reals], tensor: str, samples: NDArray[Any], macs: int
) -> Comparison:
    """Compares what a float model was read as with the model, on samples, to the rounding of float32.

    Raises `ValueError` if they differ by more than a thousandth of the largest number.
    """
    start = time.perf_counter()
    try:
        runtime = OnnxRuntime(model, [tensor])
    except ModuleNotFoundError as error:
        return Comparison("", 0, 0.0, str(error))
    x = samples[: _count(macs)]
    (expected,) = runtime(x)
    actual = compute(x)
    allowed = TOLERANCE * max(float(np.abs(expected).max()), 1e-6)
    if actual.shape != expected.shape or not (np.abs(actual - expected) <= allowed).all():  # NaN too
        raise ValueError(_differs(runtime.name, tensor, actual, expected))
    note = f"equal to {runtime.name} to the rounding of float32"
    return Comparison(runtime.name, len(x), time.perf_counter() - start, note)


def _count(macs: int) -> int:
    return min(SAMPLES, max(8, WORK // max(macs, 1)))


def _reals(rng: np.random.Generator, count: int, input: Any) -> Reals:
    """Numbers to twice the reach of a format on both sides, in quarters of its step."""
    reach = 8 * max(-input.format.low, input.format.high)
    quarters = rng.integers(-reach, reach + 1, (count, *input.shape))
    quarters[1::2] = rng.integers(-reach // 2, reach // 2 + 1, quarters[1::2].shape)
    return np.asarray(quarters * (input.format.step / 4), np.float32)


def _run(program: Program, reals: Sequence[Reals]) -> dict[str, NDArray[np.int64]]:
    """The outputs, computed for a few samples at a time."""
    integers = [input.format.to_integers(x) for input, x in zip(program.inputs, reals, strict=True)]
    parts = [run(program, *(x[at : at + 16] for x in integers)) for at in range(0, len(integers[0]), 16)]
    return {name: np.concatenate([part[name] for part in parts]) for name in program.outputs}


def _differs(runtime: str, tensor: str, actual: Reals, expected: Reals) -> str:
    if actual.shape != expected.shape:
        how = f"a shape {actual.shape[1:]}, not {expected.shape[1:]}"
    else:
        how = f"{float(np.abs(actual - expected).max()):.3g} off at most"
    return (
        f"{tensor!r} was read otherwise than {runtime} computes it ({how}): the reader must not be used for this model"
    )
