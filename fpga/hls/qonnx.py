"""A QONNX model as a project of hls4ml, by hls4ml's own reader, compared with what QONNX itself computes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fpga.hls.abstract import TOP, AbstractProject, quiet
from fpga.hls.project import check_options
from shared.integer.format import Format
from shared.integer.onnx_reader import load_onnx

if TYPE_CHECKING:
    import onnx

INPUT = Format(32, 16)
"""What real inputs are truncated to, before the model's first `Quant`."""


@dataclass(frozen=True)
class ImportedProject(AbstractProject):
    """A project from QONNX. There is no integer program: its reference is QONNX's own execution."""

    model: Any = field(repr=False)
    """QONNX's `ModelWrapper`, cleaned."""

    def predict(self, x: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The model's output for real inputs `(B, *shape)`, computed by the compiled C++ (csim).

        Raises `ValueError` before `compile` or `check`.
        """
        self.require_compiled()
        reals = np.ascontiguousarray(INPUT.quantise(np.asarray(x)))
        return np.asarray(self.graph.predict(reals), np.float64).reshape(len(x), *self._ends()[1][1])

    def check(self, x: NDArray[np.floating[Any]]) -> int:
        """Compiles the project and compares its output with QONNX's execution; returns how many numbers agree.

        Inputs are rounded to multiples of 2**-16 first. Raises `ValueError` if any number differs, or without samples.
        """
        if not len(x):
            raise ValueError("check() needs at least one sample, got none")
        from qonnx.core.onnx_exec import execute_onnx

        (input, shape), (output, _) = self._ends()
        reals = INPUT.quantise(np.asarray(x)).astype(np.float32).reshape(len(x), 1, *shape)
        expected = np.concatenate([execute_onnx(self.model, {input: one})[output] for one in reals])
        actual = self.compile().predict(reals.reshape(len(x), *shape))
        if differ := int((actual.reshape(expected.shape) != expected).sum()):
            raise ValueError(
                f"hls4ml computes {output!r} otherwise than QONNX: {differ} of {expected.size} numbers differ: "
                "do not use this project"
            )
        return expected.size

    def _ends(self) -> tuple[tuple[str, tuple[int, ...]], tuple[str, tuple[int, ...]]]:
        names = self.model.graph.input[0].name, self.model.graph.output[0].name
        first, last = ((name, tuple(self.model.get_tensor_shape(name)[1:])) for name in names)
        return first, last


def from_qonnx(
    model: "str | Path | onnx.ModelProto",
    folder: str | Path,
    *,
    backend: str = "vitis",
    part: str | None = None,
    clock_ns: float = 5.0,
    reuse: int = 1,
    strategy: str = "Latency",
    io: Literal["io_parallel", "io_stream"] = "io_parallel",
) -> ImportedProject:
    """Writes a project of hls4ml for a QONNX model or its file, such as Brevitas exports, and returns it.

    The model is cleaned first: constants are folded, Gemm becomes MatMul, channels move last. Precisions follow from
    its `Quant` nodes. Options are those of `lower`.

    Raises `ValueError` for a file without a model or without `Quant` nodes, `OSError` with hls4ml's reason for what it
    cannot read; needs hls4ml and qonnx.
    """
    kind = check_options(backend, part, clock_ns, reuse, strategy, io)
    proto = load_onnx(model) if isinstance(model, str | Path) else model
    if not {node.op_type for node in proto.graph.node} & {"Quant", "BipolarQuant", "IntQuant"}:
        raise ValueError("this model has no Quant node, so it is not QONNX: read it by shared.f8net.convert.read")
    try:
        from hls4ml.converters import convert_from_onnx_model
        from hls4ml.utils import config_from_onnx_model
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("from_qonnx needs hls4ml: pip install -e '.[fpga]'") from error
    folder = Path(folder).absolute()
    with quiet(f"hls4ml cannot read this QONNX model into {folder}"):
        cleaned = _cleaned(proto)
        default = f"fixed<{INPUT.word},{INPUT.word - INPUT.fraction}>"
        config = config_from_onnx_model(cleaned, "name", kind.title, default, default_reuse_factor=reuse)
        config["Model"]["Strategy"] = strategy
        options: dict[str, Any] = kind.options | ({} if part is None else {"part": part})
        graph = convert_from_onnx_model(
            cleaned,
            output_dir=str(folder),
            project_name=TOP,
            backend=kind.title,
            hls_config=config,
            io_type=io,
            clock_period=clock_ns,
            **options,
        )
        graph.write()
    return ImportedProject(folder, kind, graph, cleaned)


def _cleaned(model: "onnx.ModelProto") -> Any:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
    from qonnx.transformation.gemm_to_matmul import GemmToMatMul
    from qonnx.util.cleanup import cleanup_model

    # Each step leaves what the next needs clean; without it hls4ml meets tensors of no shape.
    first = cleanup_model(ModelWrapper(model))
    last = first.transform(ConvertToChannelsLastAndClean()).transform(GemmToMatMul())
    return cleanup_model(last)
