"""The runtimes beside ours, and the nets in their form."""

import io
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qwedge.experiments.runtimes import Run, mnn, onnx_runtime, openvino


def peer_runs(models: Mapping[str, tuple[bytes, NDArray[Any]]], threads: int = 1) -> tuple[dict[str, Run], list[str]]:
    """A run of every model in every runtime that is installed, and the runtimes that are not; MNN computes floats."""
    runs: dict[str, Run] = {}
    missing = []
    for name, load in (("onnxruntime", onnx_runtime), ("openvino", openvino), ("MNN", mnn)):
        try:
            for numbers, (model, x) in models.items():
                if load is not mnn or numbers == "fp32":
                    runs[f"{name} {numbers}"] = load(model, x, threads)
        except ModuleNotFoundError:
            missing.append(f"{name}: not installed")
    return runs, missing


def mnn_sparse(model: bytes, x: NDArray[Any]) -> dict[str, Run]:
    """The run of a net whose zeros MNN may skip, if MNN is installed; no peer of dense nets by its name."""
    try:
        return {"MNN fp32 75%": mnn(model, x, sparse=True)}
    except ModuleNotFoundError:
        return {}


def exported(net: nn.Module, example: torch.Tensor) -> bytes:
    """The net as float ONNX."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (example,), buffer, dynamo=False, opset_version=17)
    return buffer.getvalue()


def quantised(model: bytes, samples: NDArray[np.float32]) -> bytes:
    """The model with QDQ by ONNX Runtime's own tool: static, per channel, unsigned activations."""
    import tempfile
    from pathlib import Path

    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self.rest = iter([{name: samples[k : k + 1]} for k in range(len(samples))])

        def get_next(self) -> Any:
            return next(self.rest, None)

    import onnx

    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{name}.onnx") for name in ("float", "ready", "quantised")]
        Path(paths[0]).write_bytes(model)
        quant_pre_process(paths[0], paths[1], skip_symbolic_shape=True)  # which fails on reshapes of attention
        name = onnx.load_from_string(model).graph.input[0].name
        kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        quantize_static(paths[1], paths[2], Samples(name), QuantFormat.QDQ, per_channel=True, **kinds)
        return Path(paths[2]).read_bytes()
