"""Budgets of a compression: `twoq<=20`, `depth<=60`, `drop<=0.01`, or several of them separated by commas."""

import math
import re
from dataclasses import dataclass

from quantum.compilation.compile import Compiled

METRICS = ("twoq", "depth", "depth_no_rz", "twoq_depth", "duration_ns")


@dataclass(frozen=True)
class Budget:
    """Upper limits on counts of the compiled circuit, and on the drop of validation accuracy.

    With `drop` the cheapest circuit within it is selected, otherwise the most accurate circuit within `limits`.
    """

    limits: tuple[tuple[str, float], ...] = ()
    drop: float | None = None

    def allows(self, compiled: Compiled) -> bool:
        """Whether the compiled circuit is within all limits."""
        return all(getattr(compiled, metric) <= limit for metric, limit in self.limits)

    def __str__(self) -> str:
        stated = [*self.limits, *([] if self.drop is None else [("drop", self.drop)])]
        return ",".join(f"{metric}<={repr(limit).removesuffix('.0')}" for metric, limit in stated)


def parse(text: str) -> Budget:
    """The budget that `text` states.

    >>> parse("twoq<=20,drop<=0.01")
    Budget(limits=(('twoq', 20.0),), drop=0.01)
    """
    limits: dict[str, float] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\w+)\s*<=\s*([-+.\deE]+)\s*", part)
        if not match or match[1] not in (*METRICS, "drop"):
            raise ValueError(
                f"budget {part.strip()!r} is not METRIC<=NUMBER with METRIC one of drop, {', '.join(METRICS)}"
            )
        try:
            limit = float(match[2])
        except ValueError:
            raise ValueError(f"budget {part.strip()!r}: {match[2]!r} is not a number") from None
        if not math.isfinite(limit) or limit < 0:
            raise ValueError(f"budget {part.strip()!r}: the limit must be at least 0 and finite")
        if match[1] in limits:
            raise ValueError(f"budget {text!r} limits {match[1]} twice: state it once")
        if match[1] == "drop" and limit >= 1:
            raise ValueError(f"budget {part.strip()!r}: drop is a share, 0.01 for one in a hundred samples")
        limits[match[1]] = limit
    drop = limits.pop("drop", None)
    return Budget(tuple(limits.items()), drop)
