"""A compiled net as ONNX or LiteRT too, compared in their runtimes: zeros of pruned floats stay, integers are QDQ."""

import io
import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from mobile.build.compile_floats import evaluating
from shared.exporters.litert_file import to_litert
from shared.importers.onnx_runtime import Reals, require_close, require_equal
from shared.integer import Program
from shared.integer.onnx_qdq import to_onnx


class Exported(NamedTuple):
    """A file, and how it compared with the net."""

    name: str
    model: bytes
    note: str


def export_program(program: Program) -> Exported:
    """The integer program in the QDQ form, equal to it bit for bit in ONNX Runtime; attention is nodes of integers.

    Raises `ValueError` naming the value that is too wide, or where ONNX Runtime computes other numbers.
    """
    model = to_onnx(program)
    return Exported(
        "net.onnx", model.SerializeToString(), require_equal(model, program, program.outputs, exact=True).note
    )


def export_module(net: nn.Module, example: torch.Tensor, rng: np.random.Generator) -> Exported:
    """The module in evaluation mode, for any batch of one input, near it in ONNX Runtime.

    Raises `ValueError` for what torch cannot write as ONNX, or where ONNX Runtime computes other numbers.
    """
    import onnx

    buffer = io.BytesIO()
    with evaluating(net), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                net,
                (example,),
                buffer,  # type: ignore[arg-type]  # a file works too
                dynamo=False,
                input_names=["input"],
                output_names=["output"],
                dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
            )
        except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
            reason = next(iter(str(error).splitlines()), "")
            raise ValueError(f"torch cannot write the net as ONNX: {reason}; leave out export") from error

    def compute(x: Reals) -> Reals:
        with evaluating(net), torch.no_grad():
            result: Reals = net(torch.from_numpy(x).to(example.dtype)).numpy()
        return result

    if example.is_floating_point():
        samples = rng.standard_normal((8, *example.shape[1:])).astype(np.float32)
    else:
        samples = np.asarray(example)
    model = buffer.getvalue()
    return Exported("net.onnx", model, require_close(onnx.load_from_string(model), compute, "output", samples, 1).note)


def export_litert(net: nn.Module, example: torch.Tensor) -> Exported:
    """The module in evaluation mode as a LiteRT file of floats, channels of images last, near it in the interpreter.

    Raises `ValueError` for an operation that is not written, or where the interpreter computes other numbers, and
    `ModuleNotFoundError` without TensorFlow.
    """
    with evaluating(net):
        model = to_litert(net, example, "output", "input")
    return Exported("net.tflite", model, "within 1e-4 of the largest output in LiteRT's interpreter")
