"""A torch net as a LiteRT file (`.tflite`), in floating point."""

import importlib
import os
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.exporters.litert_nodes import InTensorFlow
from shared.importers.graph import TracedGraph

TOLERANCE = 1e-4


def to_litert(net: nn.Module, example: Tensor, output: str = "logits", input: str = "image") -> bytes:
    """The net in evaluation mode, from `input` to `output`, for one sample of the shape of `example`, `(1, ...)`.

    LiteRT has the channels of images last: it reads and writes `(1, H, W, C)`, and other tensors as torch has them.
    Its interpreter computes the example as a check. Raises `ValueError` for an operation that is not written, and where
    the check fails, and `ModuleNotFoundError` without TensorFlow, whose converter writes the file.
    """
    tensorflow = import_tensorflow()
    net = net.eval()
    steps = InTensorFlow(TracedGraph.of(net, example).module, tensorflow)
    module = tensorflow.Module()
    sample = _channels_last(example.numpy())
    kind = tensorflow.float32 if example.is_floating_point() else tensorflow.int32
    signature = [tensorflow.TensorSpec(sample.shape, kind, name=input)]
    traced = tensorflow.function(lambda x: {output: steps.compute(x)}, signature, autograph=False)
    function = traced.get_concrete_function()
    data: bytes = tensorflow.lite.TFLiteConverter.from_concrete_functions([function], module).convert()
    with torch.no_grad():
        expected = net(example)
    _check(data, sample, _channels_last(expected.numpy()), tensorflow)
    return data


def import_tensorflow() -> Any:
    """TensorFlow, without its notes on the machine. Raises `ModuleNotFoundError` where it is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return importlib.import_module("tensorflow")
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise ModuleNotFoundError("LiteRT files need TensorFlow: pip install tensorflow", name="tensorflow") from error


def _channels_last(array: Any) -> Any:
    array = array if array.dtype.kind == "f" else array.astype(np.int32)
    return np.ascontiguousarray(np.moveaxis(array, 1, 3)) if array.ndim == 4 else array


def _check(data: bytes, x: Any, expected: Any, tensorflow: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it moves to a package of its own
        interpreter = tensorflow.lite.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    actual = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    gap = float(np.abs(actual - expected).max()) if actual.shape == expected.shape else np.inf
    if not gap <= TOLERANCE * (1 + float(np.abs(expected).max())):
        raise ValueError(f"the LiteRT file computes something else: {gap:.2g} away from the net")
