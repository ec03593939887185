"""The menus every domain shares."""

from shared.core.menus.fixed_point import FixedPoint
from shared.core.menus.levels import Levels
from shared.core.menus.product import Product
from shared.core.menus.sparsity import Grouping, Sparsity

__all__ = ["FixedPoint", "Grouping", "Levels", "Product", "Sparsity"]
