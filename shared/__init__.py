"""The compression core: a task (why), a menu (what may be), a price (what it costs), and a solver that knows none of them.

>>> from shared.testing import Quadratic
>>> import torch
>>> task = Quadratic(torch.eye(3), optimum=torch.tensor([[3.0], [1.0], [2.0]]))
>>> ADMM().solve(task, on=Sparsity(), price=NonzeroPrice(), budget=2, x=task.optimum).z.T
tensor([[3., 0., 2.]])
"""

from shared.admm import ADMM, Solution
from shared.menu import Choices, Menu, Point
from shared.menus import FixedPoint, Grouping, Levels, Product, Sparsity
from shared.price import AbstractAdditivePrice, BitPrice, LevelPrice, NonzeroPrice, Price
from shared.task import Task, penalty

__all__ = [
    "ADMM",
    "AbstractAdditivePrice",
    "BitPrice",
    "Choices",
    "FixedPoint",
    "Grouping",
    "LevelPrice",
    "Levels",
    "Menu",
    "NonzeroPrice",
    "Point",
    "Price",
    "Product",
    "Solution",
    "Sparsity",
    "Task",
    "penalty",
]
