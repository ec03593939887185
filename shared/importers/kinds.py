"""The kinds of operations that a traced graph names, and the layers, functions and methods of each."""

import operator
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

Kind = Literal[
    "input",
    "parameter",
    "linear",
    "convolution",
    "norm",
    "activation",
    "pool",
    "add",
    "concatenate",
    "flatten",
    "reshape",
    "dropout",
    "identity",
    "other",
]
"""`activation` is elementwise and has no parameters; `add` is the sum of two tensors; `concatenate` joins channels;
`flatten` leaves one axis behind the batch, `reshape` any other shape."""

_LAYERS: Mapping[Kind, tuple[type[nn.Module], ...]] = {
    "linear": (nn.Linear,),
    "convolution": (nn.Conv1d, nn.Conv2d),
    "norm": (
        nn.BatchNorm1d,
        nn.BatchNorm2d,
        nn.LayerNorm,
        nn.GroupNorm,
        nn.InstanceNorm1d,
        nn.InstanceNorm2d,
    ),
    "activation": (
        nn.ReLU,
        nn.ReLU6,
        nn.LeakyReLU,
        nn.ELU,
        nn.CELU,
        nn.SELU,
        nn.GELU,
        nn.SiLU,
        nn.Mish,
        nn.Softplus,
        nn.Sigmoid,
        nn.Tanh,
        nn.Hardtanh,
        nn.Hardsigmoid,
        nn.Hardswish,
    ),
    "pool": (
        nn.MaxPool1d,
        nn.MaxPool2d,
        nn.AvgPool1d,
        nn.AvgPool2d,
        nn.AdaptiveAvgPool1d,
        nn.AdaptiveAvgPool2d,
        nn.AdaptiveMaxPool1d,
        nn.AdaptiveMaxPool2d,
    ),
    "flatten": (nn.Flatten,),
    "dropout": (nn.Dropout, nn.Dropout1d, nn.Dropout2d),
    "identity": (nn.Identity,),
}
_FUNCTIONS: Mapping[Kind, tuple[Any, ...]] = {
    "activation": (
        torch.relu,
        functional.relu,
        functional.relu6,
        functional.leaky_relu,
        functional.elu,
        functional.celu,
        functional.selu,
        functional.gelu,
        functional.silu,
        functional.mish,
        functional.softplus,
        torch.sigmoid,
        functional.sigmoid,
        torch.tanh,
        functional.tanh,
        functional.hardtanh,
        functional.hardsigmoid,
        functional.hardswish,
    ),
    "pool": (
        functional.max_pool1d,
        functional.max_pool2d,
        functional.avg_pool1d,
        functional.avg_pool2d,
        functional.adaptive_avg_pool1d,
        functional.adaptive_avg_pool2d,
        functional.adaptive_max_pool1d,
        functional.adaptive_max_pool2d,
    ),
    "add": (operator.add, operator.iadd, torch.add),
    "concatenate": (torch.cat, torch.concat, torch.concatenate),
    "flatten": (torch.flatten, torch.reshape),
    "dropout": (functional.dropout, functional.dropout1d, functional.dropout2d),
}
_METHODS: Mapping[Kind, tuple[str, ...]] = {
    "activation": ("relu", "relu_", "sigmoid", "sigmoid_", "tanh", "tanh_"),
    "add": ("add", "add_"),
    "flatten": ("flatten", "view", "reshape"),
}


def layer_kind(layer: nn.Module) -> Kind:
    """The kind of a layer, or of the class that it extends.

    >>> layer_kind(nn.BatchNorm2d(3)), layer_kind(nn.PReLU())
    ('norm', 'other')
    """
    return next((kind for kind, classes in _LAYERS.items() if isinstance(layer, classes)), "other")


def function_kind(target: Any) -> Kind:
    """The kind of what torch.fx calls: a function, or the name of a method.

    >>> function_kind(torch.relu), function_kind("view"), function_kind("mul")
    ('activation', 'flatten', 'other')
    """
    table: Mapping[Kind, tuple[Any, ...]] = _METHODS if isinstance(target, str) else _FUNCTIONS
    return next((kind for kind, targets in table.items() if target in targets), "other")
