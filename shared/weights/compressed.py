"""A compressed net, its report, and its file."""

import copy
import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from shared.core.solver import Solution
from shared.importers.graph import TracedGraph
from shared.integer.format import Format
from shared.weights.report import CompressionReport


@dataclass(frozen=True, eq=False)
class Compressed:
    """What `compress` returns.

    >>> import tempfile
    >>> import torch
    >>> from torch import nn
    >>> from shared import BlockSparsity, MACs, compress
    >>> net, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), torch.randn(50, 4)
    >>> compressed = compress(net, (x, x[:, :1]), on=BlockSparsity(4), price=MACs((4,)), budget=0.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     compressed.save(Path(folder) / "net.safetensors")
    ...     loaded = Compressed.load(Path(folder) / "net.safetensors")
    >>> bool((loaded(x) == compressed.module(x)).all())
    True
    """

    module: nn.Module
    """The compressed net, in evaluation mode on the CPU, ready for use or further training."""
    report: CompressionReport
    solution: Solution
    """What the solver returned; `z` is over the blocks of the dense net."""
    example: Tensor
    """One input, `(1, *shape)`."""

    def save(self, path: str | Path) -> None:
        """Writes the net as `NAME.safetensors`.

        A net of layers one after the other, with residual sums of `shared.importers.spec.Residual`, has its list of
        layers beside it in `NAME.json`, as `shared.importers.read` and `qwedge synth` read it: the format of inputs
        there is 8 bits that hold the example. Another net needs its own class again, see `load`.
        """
        from safetensors.torch import save

        from shared.importers.read import write

        path = Path(path)
        top = float(self.example.abs().max())
        form = Format(8, 7 - max(math.frexp(top)[1], -8))
        try:
            write(self.module, path, shape=tuple(self.example.shape[1:]), input_format=form)
        except ValueError:
            if path.suffix != ".safetensors":
                raise
            tensors = {name: tensor.contiguous() for name, tensor in self.module.state_dict().items()}
            path.write_bytes(save(tensors))

    @staticmethod
    def load(path: str | Path, net: nn.Module | None = None) -> nn.Module:
        """The module of a file of `save`, in evaluation mode.

        `net` is an instance of the dense net's class, whose layers take the shapes of the file.
        Without it, the list of layers beside the file is read. Raises `ValueError` for a corrupt file, or one of
        another net.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        from shared.importers.read import read_module

        path = Path(path)
        if net is None:
            if not path.with_suffix(".json").exists():
                raise ValueError(f"{path} has no list of layers beside it: give load an instance of the net's class")
            return read_module(path).module.eval()
        try:
            tensors = load(path.read_bytes())
        except SafetensorError as error:
            raise ValueError(f"{path}: incomplete or corrupt safetensors file: {error}") from error
        return fitted(copy.deepcopy(net), tensors, str(path)).eval()


def fitted(net: nn.Module, tensors: dict[str, Tensor], source: str) -> nn.Module:
    """`net` itself with the numbers of `tensors`, its layers of their sizes.

    Raises `ValueError`, which names `source`, for tensors of another net.
    """
    names = {name for name in net.state_dict() if not name.endswith("num_batches_tracked")}
    if missing := sorted(names ^ {name for name in tensors if not name.endswith("num_batches_tracked")}):
        raise ValueError(f"{source} is of another net than {type(net).__name__}: only one of them has {missing[0]!r}")
    for name, tensor in tensors.items():
        place, _, kind = name.rpartition(".")
        layer = net.get_submodule(place)
        if isinstance(getattr(layer, kind), nn.Parameter):
            setattr(layer, kind, nn.Parameter(tensor))
        else:
            setattr(layer, kind, tensor)
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            layer.out_features, layer.in_features = layer.weight.shape
        elif isinstance(layer, nn.Conv1d | nn.Conv2d):
            depthwise = layer.groups > 1 and layer.groups == layer.in_channels == layer.out_channels
            layer.out_channels = len(layer.weight)
            layer.groups = len(layer.weight) if depthwise else layer.groups
            layer.in_channels = layer.weight.shape[1] * layer.groups
        elif isinstance(layer, nn.ConvTranspose2d):
            layer.in_channels, layer.out_channels = layer.weight.shape[0], layer.weight.shape[1] * layer.groups
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.running_mean is not None:
            layer.num_features = len(layer.running_mean)
    return net


def folded(net: nn.Module, example: Tensor) -> tuple[nn.Module, int]:
    """A copy of `net` in which each batch norm that alone reads a layer is part of it, and how many were."""
    net = copy.deepcopy(net).eval()
    graph, count = TracedGraph.of(net, example), 0
    for node in graph:
        norm = graph.sole_reader(node.name)
        if norm is None or not isinstance(norm.layer, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        layer = node.layer
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            _replace(net, node.path, fuse_conv_bn_eval(layer, norm.layer))
        elif isinstance(layer, nn.Linear) and len(node.shape) == 1:
            assert isinstance(norm.layer, nn.BatchNorm1d)
            _replace(net, node.path, fuse_linear_bn_eval(layer, norm.layer))
        else:
            continue
        _replace(net, norm.path, nn.Identity())
        count += 1
    return net, count


def _replace(net: nn.Module, path: str, layer: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(net.get_submodule(parent), name, layer)
