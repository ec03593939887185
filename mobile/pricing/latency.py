"""Predicted milliseconds of kernel calls: a law for each kernel, with the machine that it was fitted on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from mobile.kernels import tiles
from mobile.lowering.float_work import FloatWork
from mobile.lowering.work import Amount, Work
from mobile.pricing.law import features

Numbers = Literal["int8", "float32"]


@dataclass(frozen=True)
class Latency:
    """`latency(work)` are the milliseconds of a call, on one thread of a core that does nothing else.

    Linear in the amounts of the work, with a gradient where they are tensors. `mobile.pricing.calibration.calibrated`
    fits one on this machine.
    """

    instructions: str
    ns: Mapping[str, tuple[float, ...]]
    """The coefficients of `mobile.pricing.law.features`, by kernel."""
    about: Mapping[str, Any]
    """Machine, compiler and kernels."""
    held_out: Mapping[str, float]
    """How far whole nets that were not fitted are from their prediction."""

    @cached_property
    def _tiles(self) -> Mapping[str, int]:
        return tiles(self.instructions)

    def __call__(self, work: Work | FloatWork) -> Amount:
        if work.kernel not in self.ns:
            raise ValueError(f"no law of {work.kernel!r} here: take the latency of the net's numbers, int8 or float32")
        numbers = features(work, self._tiles)
        return sum(each * number for each, number in zip(self.ns[work.kernel], numbers, strict=True)) * 1e-6

    def to_json(self) -> str:
        """As `from_json` reads it."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Latency":
        """Raises `ValueError` if the text is something else."""
        try:
            data = json.loads(text)
            return cls(**data | {"ns": {name: tuple(ns) for name, ns in data["ns"].items()}})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a fitted latency: {error}; delete the file, it will be measured again") from error
