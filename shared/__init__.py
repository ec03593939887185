"""The compression core: a task (why), a menu (what may be), a price (what it costs), and one solver for all of them.

>>> import torch
>>> from shared import ADMM, NonzeroPrice, Sparsity
>>> from shared.core.testing import Quadratic
>>> task = Quadratic(torch.eye(3), optimum=torch.tensor([[3.0], [1.0], [2.0]]))
>>> ADMM().solve(task, on=Sparsity(), price=NonzeroPrice(), budget=2, x=task.optimum).z.T
tensor([[3., 0., 2.]])
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.core.admm import ADMM
    from shared.core.calibration import CalibratedPrice
    from shared.core.menu import Choices, Menu, Point
    from shared.core.menus import FixedPoint, Grouping, Levels, Product, Sparsity
    from shared.core.price import AbstractAdditivePrice, BitPrice, LevelPrice, NonzeroPrice, Price
    from shared.core.relax import Relaxation, soft_prox
    from shared.core.solver import Solution, Solver
    from shared.core.table import KernelTable, TablePrice
    from shared.core.task import DifferentiableTask, Progress, Task, penalty
    from shared.weights.blocks import BlockSparsity, ChannelSparsity, FixedPointWeights
    from shared.weights.compress import compress
    from shared.weights.compressed import Compressed
    from shared.weights.prices import Bytes, MACs
    from shared.weights.task import ParameterTask

__all__ = [
    "ADMM",
    "AbstractAdditivePrice",
    "BitPrice",
    "BlockSparsity",
    "Bytes",
    "CalibratedPrice",
    "ChannelSparsity",
    "Choices",
    "Compressed",
    "DifferentiableTask",
    "FixedPoint",
    "FixedPointWeights",
    "Grouping",
    "KernelTable",
    "LevelPrice",
    "Levels",
    "MACs",
    "Menu",
    "NonzeroPrice",
    "ParameterTask",
    "Point",
    "Price",
    "Product",
    "Progress",
    "Relaxation",
    "Solution",
    "Solver",
    "Sparsity",
    "TablePrice",
    "Task",
    "compress",
    "penalty",
    "soft_prox",
]

# Looked up when first used: `import shared.lab` runs this file too, and a command line must not wait for torch.
_HOMES = {
    "shared.core.admm": ("ADMM",),
    "shared.core.calibration": ("CalibratedPrice",),
    "shared.core.menu": ("Choices", "Menu", "Point"),
    "shared.core.menus": ("FixedPoint", "Grouping", "Levels", "Product", "Sparsity"),
    "shared.core.price": ("AbstractAdditivePrice", "BitPrice", "LevelPrice", "NonzeroPrice", "Price"),
    "shared.core.relax": ("Relaxation", "soft_prox"),
    "shared.core.solver": ("Solution", "Solver"),
    "shared.core.table": ("KernelTable", "TablePrice"),
    "shared.core.task": ("DifferentiableTask", "Progress", "Task", "penalty"),
    "shared.weights.blocks": ("BlockSparsity", "ChannelSparsity", "FixedPointWeights"),
    "shared.weights.compress": ("compress",),
    "shared.weights.compressed": ("Compressed",),
    "shared.weights.prices": ("Bytes", "MACs"),
    "shared.weights.task": ("ParameterTask",),
}

if not TYPE_CHECKING:  # or the type checker would believe in every name

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(home), name)
        raise AttributeError(f"module 'shared' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
