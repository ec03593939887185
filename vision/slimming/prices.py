"""What a plan costs, from a table of its blocks."""

from collections.abc import Callable
from functools import cache, partial

from torch import nn

from shared.weights.prices import MACs
from vision.slimming.net import SlimNet, block, map_sides
from vision.slimming.plan import Operator, Plan

Shape = tuple[int, ...]
NetPrice = Callable[[nn.Module, Shape], float]
"""Of a net, and of the shape of its input without the batch."""

REPEATS = 3
"""Blocks in a row whose price, less that of one, is that of two: what a net costs besides its blocks cancels."""


class PlanPrices:
    """`prices(plan)`: that of the net of its widths without any block, and of each block by itself.

    Each is computed once. A table takes a fraction of the time of pricing whole nets, and what is measured is measured
    once. Y. Li et al., EfficientFormer (arXiv 2206.01191), section 3.3: a look-up table in steps of 16 channels.
    """

    def __init__(self, price: NetPrice, *, image: int, classes: int, stride: int = 2) -> None:
        self.price, self.image, self.stride = price, image, stride
        self.build = partial(SlimNet, image=image, classes=classes, stride=stride)
        self.skeleton, self.block = cache(self._skeleton), cache(self._block)

    def __call__(self, plan: Plan) -> float:
        sides = map_sides(plan, self.image, self.stride)
        stages = zip(plan.widths, plan.blocks, sides, strict=True)
        blocks = sum(self.block(each, width, side) for width, operators, side in stages for each in operators)
        return self.skeleton(plan.widths) + blocks

    def _skeleton(self, widths: tuple[int, ...]) -> float:
        return self.price(self.build(Plan(widths, ((),) * len(widths))).eval(), (3, self.image, self.image))

    def _block(self, operator: Operator, width: int, side: int) -> float:
        if operator == "none":
            return 0.0
        shape = (side * side, width) if operator == "attention" else (width, side, side)
        one, several = (
            self.price(nn.Sequential(*(block(operator, width, (side, side)) for _ in range(count))).eval(), shape)
            for count in (1, REPEATS)
        )
        return (several - one) / (REPEATS - 1)


def macs(net: nn.Module, shape: Shape) -> int:
    """Multiply-accumulates of one input."""
    return int(MACs(shape).number_costs(net, (), None).double().sum())
