"""A program of `torch.export` as a torch module of layers, to be traced, compressed and calibrated as any other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from shared.importers import layers
from shared.importers.exported_functions import FUNCTIONS, function_of, is_size
from shared.importers.leading_norm import fold_norms
from shared.integer.attributes import require

LAYERS: Final = (
    "linear, conv1d, conv2d, conv_transpose, batch_norm, layer_norm, embedding, prelu, relu, max_pool, avg_pool, "
    "adaptive_avg_pool to one, dropout"
)
SUPPORTED: Final = f"{LAYERS}, {', '.join(sorted(name for name in FUNCTIONS if not name.startswith('_')))}"

_NOTHING: Final = ("dropout", "feature_dropout", "contiguous", "clone", "alias", "detach", "lift_fresh_copy")
_CREATED: Final = (
    "arange",
    "full",
    "zeros",
    "ones",
    "scalar_tensor",
    "zeros_like",
    "ones_like",
    "tril",
    "eq",
    "expand",
)
"""Operators that only make constants."""


@dataclass(frozen=True, eq=False)
class ExportedModule:
    """The module that an exported net computes."""

    module: nn.Module
    shape: tuple[int, ...]
    """Of the input, without the batch."""
    words: int
    """Rows of the table that an input of whole numbers chooses from; 0 for an input of floats."""


def from_exported(program: ExportedProgram) -> tuple[nn.Module, tuple[int, ...]]:
    """The module that an exported net computes, and the shape of its input without the batch.

    It takes any number of samples, whatever the number was that was exported. Its operators are those of `SUPPORTED`;
    the module is compared with the exported net before it is returned. Raises `ValueError` naming the node that is
    something else, and the way out.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()
    >>> module, shape = from_exported(torch.export.export(net, (torch.zeros(1, 4),)))
    >>> shape, [type(layer).__name__ for layer in module.layers.values()]
    ((4,), ['Linear', 'ReLU'])
    """
    read = read_exported(program)
    return read.module, read.shape


def read_exported(program: ExportedProgram) -> ExportedModule:
    """As `from_exported`, with the number of words that an embedding at the input has."""
    return _Reader(program).read()


class _Reader:
    def __init__(self, program: ExportedProgram) -> None:
        self.program, self.signature = program, program.graph_signature
        if len(self.signature.user_inputs) != 1 or len(self.signature.user_outputs) != 1:
            counts = f"{len(self.signature.user_inputs)} inputs and {len(self.signature.user_outputs)} outputs"
            raise ValueError(f"an exported net with one input and one output is needed, this has {counts}")
        numbers = program.state_dict | program.constants
        signature = self.signature
        names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        names |= signature.inputs_to_lifted_tensor_constants
        self.tensors = {name: numbers[target].detach() for name, target in names.items()}
        self.alias: dict[str, str] = {}
        self.nodes: list[layers.LayerNode] = []
        self.words = 0

    def read(self) -> ExportedModule:
        source, sink = (str(ends[0]) for ends in (self.signature.user_inputs, self.signature.user_outputs))
        for node in self.program.graph.nodes:
            if node.op != "call_function":
                continue
            try:
                self.convert(node)
            except (ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
                line = next(iter(str(error).splitlines()), type(error).__name__)
                raise ValueError(f"exported {_operator(node)} {node.name!r}: {line}") from error
        entry = next(node for node in self.program.graph.nodes if node.name == source)
        if (sink := self.alias.get(sink, sink)) not in {node.output for node in self.nodes}:
            raise ValueError(f"no operator of this export computes the output {sink!r} from the input")
        shape = _shape(entry)
        if not entry.meta["val"].is_floating_point() and not self.words:
            raise ValueError(f"the input {source!r} is of whole numbers: those that choose words are read")
        module = layers.LayerNet(source, fold_norms(self.nodes, sink), sink).eval()
        self.require_alike(module, entry)
        return ExportedModule(module, shape, self.words)

    def convert(self, node: fx.Node) -> None:
        if is_size(node) or node.meta.get("val") is None:  # an assertion has no result
            return
        kind = _operator(node)
        reads = [self.alias.get(each.name, each.name) for each in node.all_input_nodes if not is_size(each)]
        values = [name for name in reads if name not in self.tensors]
        if kind == "add" and reads and reads[0] in self.tensors and _is_in_place(node):
            raise ValueError("it changes a buffer, as in training: call eval() before the export")
        if not values:
            if kind in (*_CREATED, *_NOTHING, *FUNCTIONS, "embedding", "to"):
                self.tensors[node.name] = self.computed(node)
                return
            raise ValueError(f"this operator is not supported: use {SUPPORTED}")
        if kind in _NOTHING or (kind in ("to", "_to_copy") and _keeps_kind(node)):
            self.alias[node.name] = values[0]
            return
        if kind in ("add", "sub"):
            require(self.arguments(node), alpha=1)
        layer = self.layer(kind, node, values)
        if layer is not None:
            self.nodes.append(layers.LayerNode(layer, tuple(values), node.name))
        elif not isinstance(node.meta["val"], tuple | list):  # several: each that is taken is a node of its own
            if kind not in FUNCTIONS and kind != "getitem":
                raise ValueError(f"this operator is not supported: use {SUPPORTED}")
            function, operands = function_of(node, self.tensors)
            names = [self.alias.get(each.name, each.name) for each in operands]
            constants = [self.tensors.get(name) for name in names]
            self.nodes.append(
                layers.LayerNode(
                    layers.Function(function, constants),
                    tuple(name for name in names if name not in self.tensors),
                    node.name,
                )
            )

    def computed(self, node: fx.Node) -> Tensor:
        """What a node makes of constants, for one sample."""

        def number(each: fx.Node) -> Any:
            return 1 if is_size(each) else self.tensors[self.alias.get(each.name, each.name)]

        args, kwargs = fx.node.map_arg((node.args, node.kwargs), number)
        assert callable(node.target)
        result = node.target(*args, **kwargs)
        if not isinstance(result, Tensor):
            raise ValueError("it makes several constants: make them one by one")
        return result[:1] if _operator(node) == "expand" else result

    def layer(self, kind: str, node: fx.Node, values: Sequence[str]) -> nn.Module | None:
        """The layer of a node whose weights are constants; None where it is a function of tensors."""
        if len(values) > 1 and kind != "add":
            return None
        a = self.arguments(node)
        axes = node.meta["val"].ndim - 2 if isinstance(node.meta["val"], Tensor) else 0
        match kind:
            case "linear" if isinstance(a["weight"], Tensor):
                return layers.linear(a["weight"], a["bias"])
            case "conv1d" | "conv2d":
                require(a, dilation=1)
                return layers.convolution(a["weight"], a["bias"], _sizes(a["stride"]), _padding(a), a["groups"])
            case "conv_transpose1d" | "conv_transpose2d":
                require(a, dilation=1, groups=1, output_padding=0)
                return layers.transposed(a["weight"], a["bias"], _sizes(a["stride"]), _sizes(a["padding"]))
            case "batch_norm":
                return _batch_norm(axes, a)
            case "layer_norm":
                return _layer_norm(a)
            case "embedding" if isinstance(a["weight"], Tensor):
                self.words = len(a["weight"]) if values[0] in self.signature.user_inputs else self.words
                return _filled(nn.Embedding(*a["weight"].shape), a["weight"])
            case "prelu":
                return _filled(nn.PReLU(a["weight"].numel()), a["weight"].flatten())
            case "max_pool1d" | "max_pool2d" | "avg_pool1d" | "avg_pool2d":
                return _pool(kind, a)
            case "adaptive_avg_pool1d" | "adaptive_avg_pool2d":
                require(a, output_size=1)
                return nn.AdaptiveAvgPool1d(1) if axes == 1 else nn.AdaptiveAvgPool2d(1)
            case "add" if len(values) == 2 and _shape(node.args[0]) == _shape(node.args[1]):
                return layers.Sum()
            case "flatten" | "view" | "reshape" if axes == 0 and node.meta["val"].shape[0] == self.batch(node):
                return nn.Flatten()
            case "relu":
                return nn.ReLU()
        return None

    def arguments(self, node: fx.Node) -> dict[str, Any]:
        """The arguments by name, with defaults, and tensors in place of the names of parameters."""
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            return {}
        values = dict(zip((argument.name for argument in schema.arguments), node.args, strict=False)) | node.kwargs
        full = {argument.name: values.get(argument.name, argument.default_value) for argument in schema.arguments}
        return {name: self.tensors.get(x.name, x) if isinstance(x, fx.Node) else x for name, x in full.items()}

    def batch(self, node: fx.Node) -> Any:
        """Samples of the first value that a node reads."""
        return node.all_input_nodes[0].meta["val"].shape[0]

    def require_alike(self, module: nn.Module, entry: fx.Node) -> None:
        """Raises `ValueError` if the module computes otherwise than the exported net, of several samples at once."""
        batch, generator = entry.meta["val"].shape[0], torch.Generator().manual_seed(0)
        sizes = (batch if isinstance(batch, int) else 2, *_shape(entry))
        draws = [
            torch.randint(self.words, sizes, generator=generator)
            if self.words
            else torch.randn(sizes, generator=generator)
            for _ in range(2)
        ]
        computed = self.program.module()
        with torch.no_grad():
            expected, actual = torch.cat([computed(x) for x in draws]), module(torch.cat(draws))
        error = float((actual - expected).abs().max()) if actual.shape == expected.shape else float("inf")
        if not error <= 1e-3 * max(float(expected.abs().max()), 1e-6):  # NaN too
            raise ValueError(
                f"the module read from this export computes otherwise: it differs by {error:.3g}: do not use it"
            )


def _operator(node: fx.Node) -> str:
    """The name of an ATen operator, in place or not."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return getattr(node.target, "__name__", str(node.target))
    return str(schema.name).removeprefix("aten::").removesuffix("_")


def _is_in_place(node: fx.Node) -> bool:
    return str(getattr(node.target, "_schema", node).name).endswith("_")


def _keeps_kind(node: fx.Node) -> bool:
    """Whether a cast leaves floats floats, and whole numbers whole."""
    source = node.all_input_nodes[0].meta["val"]
    return bool(source.is_floating_point() == node.meta["val"].is_floating_point())


def _shape(node: Any) -> tuple[int, ...]:
    """Of one sample."""
    return tuple(node.meta["val"].shape[1:])


def _sizes(sizes: int | Sequence[int]) -> tuple[int, ...]:
    return (sizes,) if isinstance(sizes, int) else tuple(sizes)


def _padding(a: dict[str, Any]) -> tuple[int, ...]:
    if not isinstance(a["padding"], str):
        return _sizes(a["padding"])
    kernel = a["weight"].shape[2:]
    if a["padding"] == "same" and any(size % 2 == 0 for size in kernel):
        raise ValueError(f"padding='same' of a kernel {tuple(kernel)} differs between the sides: state numbers")
    return tuple(size // 2 if a["padding"] == "same" else 0 for size in kernel)


def _filled(layer: nn.Module, weight: Tensor) -> nn.Module:
    layer.load_state_dict({"weight": weight})
    return layer


def _batch_norm(axes: int, a: dict[str, Any]) -> nn.Module:
    mean, variance = a["running_mean"], a["running_var"]
    gamma = torch.ones_like(mean) if a["weight"] is None else a["weight"]
    beta = torch.zeros_like(mean) if a["bias"] is None else a["bias"]
    return layers.norm(axes, gamma, beta, mean, variance, a["eps"])


def _layer_norm(a: dict[str, Any]) -> nn.LayerNorm:
    weight = torch.ones(*a["normalized_shape"]) if a["weight"] is None else a["weight"]
    layer = nn.LayerNorm(weight.shape, a["eps"], bias=a["bias"] is not None)
    layer.load_state_dict({"weight": weight} | ({} if a["bias"] is None else {"bias": a["bias"]}))
    return layer


def _pool(kind: str, a: dict[str, Any]) -> nn.Module:
    require(a, dilation=1, ceil_mode=False, divisor_override=None)
    size = _sizes(a["kernel_size"])
    options = {"padding": _sizes(a["padding"])}
    if kind.startswith("max"):
        return layers.pool("max", size, _sizes(a["stride"]) or size, **options)
    counted = a["count_include_pad"]
    return layers.pool("average", size, _sizes(a["stride"]) or size, **options, count_include_pad=counted)
