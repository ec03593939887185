"""A program of `torch.export` as a torch module of layers, to be traced, compressed and calibrated as any other."""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from shared.importers import layers
from shared.importers.leading_norm import fold_norms
from shared.integer.attributes import require

SUPPORTED = (
    "linear, conv1d, conv2d, batch_norm, relu, max_pool, avg_pool, adaptive_avg_pool to one, flatten, dropout, add"
)


def from_exported(program: ExportedProgram) -> tuple[nn.Module, tuple[int, ...]]:
    """The module that an exported net computes, and the shape of its input without the batch.

    Its operators are those of `SUPPORTED`; the module is compared with the exported net before it is returned. Raises
    `ValueError` naming the node that is something else, and the way out.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()
    >>> module, shape = from_exported(torch.export.export(net, (torch.zeros(1, 4),)))
    >>> shape, [type(layer).__name__ for layer in module.layers.values()]
    ((4,), ['Linear', 'ReLU'])
    """
    signature = program.graph_signature
    if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
        counts = f"{len(signature.user_inputs)} inputs and {len(signature.user_outputs)} outputs"
        raise ValueError(f"an exported net with one input and one output is needed, this has {counts}")
    numbers = program.state_dict | program.constants
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    tensors = {name: numbers[target].detach() for name, target in names.items()}
    shapes = {node.name: tuple(node.meta["val"].shape[1:]) for node in program.graph.nodes if "val" in node.meta}
    nodes = []
    for node in program.graph.nodes:
        if node.op == "call_function":
            if any(isinstance(x, fx.Node) and x.name in signature.inputs_to_buffers for x in node.args[:1]):
                raise ValueError(
                    f"exported {node.name!r} changes a buffer, as in training: call eval() before the export"
                )
            reads = tuple(x.name for x in node.args if isinstance(x, fx.Node) and x.name not in tensors)
            try:
                layer = _layer(node, _arguments(node, tensors), [shapes[name] for name in (*reads, node.name)])
            except (ValueError, KeyError) as error:
                raise ValueError(f"exported {_operator(node)} {node.name!r}: {error}") from error
            nodes.append(layers.LayerNode(layer, reads, node.name))
    source, sink = (str(ends[0]) for ends in (signature.user_inputs, signature.user_outputs))
    module = layers.LayerNet(source, fold_norms(nodes, sink), sink).eval()
    _require_alike(program, module, shapes[source])
    return module, shapes[source]


def _require_alike(program: ExportedProgram, module: nn.Module, shape: tuple[int, ...]) -> None:
    """Raises `ValueError` if a module computes otherwise than the exported net that it was read from."""
    (example,) = program.example_inputs[0] if program.example_inputs else (torch.zeros(1, *shape),)
    x = torch.randn(example.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, actual = program.module()(x), module(x)
    error = float((actual - expected).abs().max())
    if not error <= 1e-3 * max(float(expected.abs().max()), 1e-6):  # NaN too
        raise ValueError(
            f"the module read from this export computes otherwise: it differs by {error:.3g}: do not use it"
        )


def _operator(node: fx.Node) -> str:
    """The name of an ATen operator, in place or not."""
    return str(getattr(node.target, "_schema", node).name).removeprefix("aten::").removesuffix("_")


def _arguments(node: fx.Node, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The arguments by name, with defaults, and tensors in place of the names of parameters."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        raise ValueError(f"this operator is not supported: use {SUPPORTED}")
    values = dict(zip((argument.name for argument in schema.arguments), node.args, strict=False)) | node.kwargs
    full = {argument.name: values.get(argument.name, argument.default_value) for argument in schema.arguments}
    return {name: tensors.get(x.name, x) if isinstance(x, fx.Node) else x for name, x in full.items()}


def _layer(node: fx.Node, arguments: dict[str, Any], shapes: list[tuple[int, ...]]) -> nn.Module:
    """The layer of a node; `shapes` are those of its inputs, then that of its result."""
    kind, axes = _operator(node), len(shapes[0]) - 1
    if kind == "linear":
        return layers.linear(arguments["weight"], arguments["bias"])
    if kind in ("conv1d", "conv2d"):
        require(arguments, dilation=1)
        stride, padding = tuple(arguments["stride"]), tuple(arguments["padding"])
        return layers.convolution(arguments["weight"], arguments["bias"], stride, padding, arguments["groups"])
    if kind == "batch_norm":
        mean, variance = arguments["running_mean"], arguments["running_var"]
        gamma = torch.ones_like(mean) if arguments["weight"] is None else arguments["weight"]
        beta = torch.zeros_like(mean) if arguments["bias"] is None else arguments["bias"]
        return layers.norm(axes, gamma, beta, mean, variance, arguments["eps"])
    if kind in ("max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"):
        require(arguments, padding=0, dilation=1, ceil_mode=False, divisor_override=None)
        size = tuple(arguments["kernel_size"])
        return layers.pool("max" if kind.startswith("max") else "average", size, tuple(arguments["stride"]) or size)
    if kind in ("adaptive_avg_pool1d", "adaptive_avg_pool2d"):
        require(arguments, output_size=1)
        return nn.AdaptiveAvgPool1d(1) if axes == 1 else nn.AdaptiveAvgPool2d(1)
    if kind == "add":
        require(arguments, alpha=1)
        if len(shapes) == 3 and shapes[0] == shapes[1]:
            return layers.Sum()
        raise ValueError("two tensors of one shape can be added, nothing else")
    if kind in ("flatten", "view", "reshape") and len(shapes[-1]) == 1:
        return nn.Flatten()
    if kind in ("relu", "dropout"):
        return nn.ReLU() if kind == "relu" else nn.Identity()
    raise ValueError(f"this operator is not supported: use {SUPPORTED}")
