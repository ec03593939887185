"""What a slimmed net is made of: the width of each stage, and an operator for each of its blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

Operator = Literal["none", "pool", "single", "conv", "attention"]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
"""No block at all, MB4D, one 3x3 convolution, a fused inverted bottleneck, MB3D."""

ON_MAPS: tuple[Operator, ...] = ("pool", "single", "conv")

STEP = 16
"""Channels by which a stage is made narrower."""

CHEAPER: dict[Operator, tuple[Operator, ...]] = {
    "attention": ("conv", "single", "pool", "none"),
    "conv": ("single", "pool", "none"),
    "single": ("pool", "none"),
    "pool": ("none",),
    "none": (),
}
"""What may take the place of an operator, by multiply-accumulates. Where another price says otherwise, it decides."""


@dataclass(frozen=True)
class Plan:
    """`widths[s]` channels and the operators `blocks[s]` of each stage.

    Blocks on tokens are the last ones: behind "attention" there is nothing but "attention" and "none". Raises
    `ValueError` otherwise.

    >>> plan = Plan((32, 64), (("pool",), ("pool", "attention")))
    >>> plan.spelled()
    '32: P | 64: PA'
    >>> next(plan.actions(least=32))[0]
    'block 1 of stage 1: pool to none'
    """

    widths: tuple[int, ...]
    blocks: tuple[tuple[Operator, ...], ...]

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"{len(self.widths)} widths for {len(self.blocks)} stages: give one of each")
        if "attention" in (operator for blocks in self.blocks[:-1] for operator in blocks):
            raise ValueError(f"{self.spelled()}: attention is for the last stage, whose map is small")
        kept = [operator for operator in self.blocks[-1] if operator != "none"]
        if "attention" in kept and set(kept[kept.index("attention") :]) != {"attention"}:
            raise ValueError(f"{self.spelled()}: blocks of maps cannot follow attention, which is on tokens")

    def spelled(self) -> str:
        """A short text: each stage's width and the first letters of its operators, without blocks that are none."""
        stages = zip(self.widths, self.blocks, strict=True)
        return " | ".join(
            f"{width}: {''.join(each[0].upper() for each in blocks if each != 'none') or '-'}"
            for width, blocks in stages
        )

    def actions(self, least: int = STEP) -> Iterator[tuple[str, Self]]:
        """Every cheaper plan that is one action away: an operator by a cheaper one, or a stage narrower by `STEP`."""
        for stage, blocks in enumerate(self.blocks):
            for place, operator in enumerate(blocks):
                for other in CHEAPER[operator]:
                    changed = (*blocks[:place], other, *blocks[place + 1 :])
                    try:
                        plan = replace(self, blocks=_with(self.blocks, stage, changed))
                    except ValueError:  # a block of maps behind one of tokens
                        continue
                    yield f"block {place + 1} of stage {stage + 1}: {operator} to {other}", plan
            if self.widths[stage] - STEP >= least:
                narrower = self.widths[stage] - STEP
                text = f"stage {stage + 1}: {self.widths[stage]} to {narrower} channels"
                yield text, replace(self, widths=_with(self.widths, stage, narrower))

    def to_json_data(self) -> dict[str, Any]:
        """As JSON data."""
        return {"widths": list(self.widths), "blocks": [list(blocks) for blocks in self.blocks]}

    @classmethod
    def from_json_data(cls, data: dict[str, Any]) -> Self:
        """The plan of `to_json_data`."""
        return cls(tuple(data["widths"]), tuple(tuple(blocks) for blocks in data["blocks"]))


def _with(items: Sequence[Any], place: int, item: Any) -> tuple[Any, ...]:
    return (*items[:place], item, *items[place + 1 :])
