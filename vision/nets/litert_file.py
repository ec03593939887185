"""A torch net of convolutions as a LiteRT file (`.tflite`), in floating point."""

import importlib
import operator
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

TOLERANCE = 1e-4


def to_litert(net: nn.Module, example: Tensor, output: str = "logits") -> bytes:
    """The net in evaluation mode, from `image` to `output`, for the plane of `example`, `(1, C, H, W)`.

    LiteRT has channels last: it reads `(1, H, W, C)`. Its interpreter computes the example as a check. Raises
    `ValueError` for an operation that is not one of nets of pictures here, and where the check fails, and
    `ModuleNotFoundError` without TensorFlow, whose converter writes the file.
    """
    tensorflow = import_tensorflow()
    steps = _InTensorFlow(fx.symbolic_trace(net.eval()), tensorflow)
    shape = (1, *example.shape[2:], example.shape[1])
    module = tensorflow.Module()
    signature = [tensorflow.TensorSpec(shape, tensorflow.float32, name="image")]
    traced = tensorflow.function(lambda image: {output: steps.run(image)}, signature, autograph=False)
    function = traced.get_concrete_function()
    data: bytes = tensorflow.lite.TFLiteConverter.from_concrete_functions([function], module).convert()
    _check(data, net, example, tensorflow)
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


class _InTensorFlow(fx.Interpreter):
    """Computes a traced net on TensorFlow's values, with channels last."""

    def __init__(self, module: fx.GraphModule, tensorflow: Any) -> None:
        super().__init__(module)
        self.extra_traceback = False  # errors are of one line
        self.tensorflow = tensorflow
        self.functions: dict[Callable[..., Any], Callable[..., Any]] = {
            operator.add: operator.add,
            torch.add: operator.add,
            torch.relu: tensorflow.nn.relu,
            torch.pixel_shuffle: self._shuffled,
        }

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer, tf = self.fetch_attr(target), self.tensorflow
        match layer:
            case nn.Identity():  # where a norm was
                return args[0]
            case nn.ReLU():
                return tf.nn.relu(*args)
            case nn.Conv2d(groups=1, dilation=(1, 1), padding_mode="zeros"):
                return self._convolved(layer, *args)
            case nn.Upsample(mode="nearest", scale_factor=float() | int()):
                factor = int(layer.scale_factor)  # type: ignore[arg-type]
                return tf.repeat(tf.repeat(*args, factor, axis=1), factor, axis=2)
        raise ValueError(f"{type(layer).__name__} {target!r} is not written to LiteRT files")

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target not in self.functions or kwargs:
            raise ValueError(f"{getattr(target, '__name__', target)} is not written to LiteRT files")
        return self.functions[target](*args)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise ValueError(f"{target} is not written to LiteRT files")

    def _convolved(self, layer: nn.Conv2d, x: Any) -> Any:
        # TensorFlow pads strided convolutions on the other side: so they are padded before.
        assert not isinstance(layer.padding, str)
        padded = self.tensorflow.pad(x, [(0, 0), *((side, side) for side in layer.padding), (0, 0)])
        weight = layer.weight.detach().numpy().transpose(2, 3, 1, 0)
        y = self.tensorflow.nn.conv2d(padded, np.ascontiguousarray(weight), layer.stride, "VALID")
        return y if layer.bias is None else y + layer.bias.detach().numpy()

    def _shuffled(self, x: Any, scale: int) -> Any:
        if x.shape[3] != scale**2:
            raise ValueError("pixel_shuffle to several channels is not written to LiteRT files, which order them anew")
        return self.tensorflow.nn.depth_to_space(x, scale)


def _check(data: bytes, net: nn.Module, example: Tensor, tensorflow: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it moves to a package of its own
        interpreter = tensorflow.lite.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], example.permute(0, 2, 3, 1).numpy())
    interpreter.invoke()
    actual = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    with torch.no_grad():
        expected = net(example).permute(0, 2, 3, 1).numpy()
    gap = float(np.abs(actual - expected).max())
    if not gap <= TOLERANCE * (1 + float(np.abs(expected).max())):
        raise ValueError(f"the LiteRT file computes something else: {gap:.2g} away from the net")
