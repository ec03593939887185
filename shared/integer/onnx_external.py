"""Weights that an ONNX model keeps beside it, as torch writes them: read from its own folder, and from nowhere else."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx


def external_files(model: "onnx.ModelProto", folder: Path) -> tuple[Path, ...]:
    """The files in which a model keeps its numbers, each once. They belong to the model as its own file does.

    Raises `ValueError` for one that is not inside `folder`, its own.
    """
    return tuple(dict.fromkeys(_file(tensor, folder) for tensor in _external(model)))


def embed(model: "onnx.ModelProto", folder: Path) -> None:
    """Reads the numbers that a model keeps in other files into the model.

    Raises `OSError` for a file that cannot be read, `ValueError` for one that is not inside `folder` or too short.
    """
    for tensor in list(_external(model)):
        path, fields = _file(tensor, folder), {entry.key: entry.value for entry in tensor.external_data}
        start, needed = int(fields.get("offset", 0)), _bytes(tensor)
        if int(fields.get("length", needed)) != needed or start < 0 or start + needed > os.stat(path).st_size:
            raise ValueError(
                f"the weights {tensor.name!r} need {needed} bytes at {start} of {path.name}, which is another file"
            )
        with path.open("rb") as file:
            file.seek(start)
            tensor.raw_data = file.read(needed)
        del tensor.external_data[:]
        tensor.data_location = type(tensor).DEFAULT


def _file(tensor: "onnx.TensorProto", folder: Path) -> Path:
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    inside = folder.resolve()
    path = (inside / location).resolve()  # a link that leads elsewhere is elsewhere
    if not location or Path(location).is_absolute() or inside not in path.parents:
        raise ValueError(
            f"the weights {tensor.name!r} are in the file {location!r}, outside the model's folder: "
            "put them beside the model"
        )
    if path.exists() and not path.is_file():
        raise ValueError(f"the weights {tensor.name!r} are in {location!r}, which is not a file")
    return path


def _bytes(tensor: "onnx.TensorProto") -> int:
    from onnx import TensorProto, helper

    halves = (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1)  # two numbers in a byte
    count: int = math.prod(tensor.dims)
    if tensor.data_type in halves:
        return -(-count // 2)
    return count * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _external(model: "onnx.ModelProto") -> Iterator["onnx.TensorProto"]:
    from onnx import TensorProto

    tensors = [*_of_graph(model.graph), *(t for function in model.functions for t in _of_nodes(function.node))]
    return (tensor for tensor in tensors if tensor.data_location == TensorProto.EXTERNAL)


def _of_graph(graph: Any) -> Iterator["onnx.TensorProto"]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator["onnx.TensorProto"]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)  # a field that is not set is an empty one
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
            yield from _of_graph(graph)
