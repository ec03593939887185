"""Nets in several runtimes side by side, one sample at a time: one thread unless more are asked for."""

import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile.runtime.net import CompiledNet
from shared.lab import JSON

Run = Callable[[], object]
"""Computes one sample."""


def ours(net: CompiledNet, *inputs: NDArray[Any]) -> Run:
    """One sample with arrays that are there already, as a caller in C has them."""
    arrays = [
        np.ascontiguousarray(x, input.format.dtype if input.format.word <= 8 else np.int32)
        for x, input in zip(inputs, net.program.inputs, strict=True)
    ]
    values = [net.program.values[name] for name in net.program.outputs]
    outputs = [np.empty((1, *v.shape), v.format.dtype if v.format.word <= 8 else np.int32) for v in values]
    return partial(net.run, arrays, outputs)


def onnx_runtime(model: bytes, x: NDArray[Any], threads: int = 1) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return partial(session.run, None, {session.get_inputs()[0].name: x})


def openvino(model: bytes, x: NDArray[Any], threads: int = 1) -> Run:
    import openvino

    core = openvino.Core()
    config = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    net = core.read_model(io.BytesIO(model))
    net.reshape(list(x.shape))  # of a net for any size, kernels for this one
    compiled = core.compile_model(net, "CPU", config)
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(x)))
    return request.infer  # type: ignore[no-any-return]


def mnn(model: bytes, x: NDArray[Any], threads: int = 1, sparse: bool = False) -> Run:
    """A float ONNX model in MNN; `sparse` lets its converter take kernels that skip weights which are zero.

    Raises `ValueError` with what the converter says of a model that it does not take.
    """
    import MNN

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "net.onnx").write_bytes(model)
        words = ["-f", "ONNX", "--modelFile", "net.onnx", "--MNNModel", "net.mnn", "--bizCode", "qwedge"]
        words += ["--detectSparseSpeedUp"] if sparse else []
        # Not `MNN.tools.mnnconvert`, which would report on the model to its makers where their logger is installed.
        call = [sys.executable, "-c", "import sys, _tools; _tools.mnnconvert(sys.argv)", *words]
        done = subprocess.run(call, cwd=folder, capture_output=True, text=True, timeout=600)
        if not (folder / "net.mnn").exists():
            raise ValueError(f"MNN does not convert the model: {(done.stderr or done.stdout).strip()[-200:]}")
        net = MNN.Interpreter(str(folder / "net.mnn"))
    session = net.createSession({"backend": "CPU", "numThread": threads, "precision": "high"})
    read = net.getSessionInput(session)
    net.resizeTensor(read, x.shape)
    net.resizeSession(session)
    written = net.getSessionOutput(session)
    whole = np.issubdtype(x.dtype, np.integer)  # words, which it has in 32 bits
    numbers = np.ascontiguousarray(x, np.int32 if whole else np.float32)
    y = np.zeros(written.getShape(), np.float32)
    kind = MNN.Halide_Type_Int if whole else MNN.Halide_Type_Float
    sample = MNN.Tensor(x.shape, kind, numbers, MNN.Tensor_DimensionType_Caffe)
    result = MNN.Tensor(y.shape, MNN.Halide_Type_Float, y, MNN.Tensor_DimensionType_Caffe)

    def run() -> object:
        read.copyFrom(sample)
        net.runSession(session)
        return written.copyToHostTensor(result)

    return run


def statically_quantised(model: bytes, samples: Sequence[NDArray[np.float32]]) -> bytes:
    """A float ONNX model in 8 bits as ONNX Runtime's tool makes it: weights per channel, ranges of `samples`.

    Each sample is a batch of its input. The result is in the QDQ form, which OpenVINO runs too.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Samples(CalibrationDataReader):
        def __init__(self, name: str) -> None:
            self.batches = iter([{name: sample} for sample in samples])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "float.onnx").write_bytes(model)
        quantize_static(
            folder / "float.onnx",
            folder / "int8.onnx",
            Samples(input_name(model)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return (folder / "int8.onnx").read_bytes()


def input_name(model: bytes) -> str:
    """Of the one input of an ONNX model."""
    import onnx

    name: str = onnx.load_from_string(model).graph.input[0].name
    return name


def interleaved(
    runs: Mapping[str, Run], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, JSON]:
    """Milliseconds of a sample, by runtime: median and least; of CPU time, unless the clock is another."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()
            began = clock()
            run()
            times[name].append((clock() - began) * 1e3)
    medians = {name: statistics.median(each) for name, each in times.items()}
    return {"median_ms": dict(medians), "least_ms": {name: min(each) for name, each in times.items()}}
