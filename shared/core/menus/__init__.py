"""The menus every domain shares."""

from shared.menus.fixed_point import FixedPoint
from shared.menus.levels import Levels
from shared.menus.product import Product
from shared.menus.sparsity import Grouping, Sparsity

__all__ = ["FixedPoint", "Grouping", "Levels", "Product", "Sparsity"]
