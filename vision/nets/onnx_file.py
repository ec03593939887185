"""A torch net as an ONNX file, in floating point."""

import io
import warnings

import torch
from torch import Tensor, nn


def to_onnx(net: nn.Module, example: Tensor, output: str = "logits", any_size: bool = False) -> bytes:
    """The net in evaluation mode, from `image` `(batch, ...)` to `output`, of any batch, and of any plane if asked.

    Written by torch's exporter that traces the forward pass: the one that is to replace it needs onnxscript, and takes
    ten seconds where this takes one. Raises `ModuleNotFoundError` without onnx.
    """
    try:
        import onnx  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("ONNX files need onnx: pip install -e '.[vision]'", name="onnx") from error
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net.eval(),
            (example,),
            buffer,  # type: ignore[arg-type]  # a file works too
            dynamo=False,
            input_names=["image"],
            output_names=[output],
            dynamic_axes={
                name: {0: "batch"} | ({2: f"{name} rows", 3: f"{name} columns"} if any_size else {})
                for name in ("image", output)
            },
        )
    return buffer.getvalue()
