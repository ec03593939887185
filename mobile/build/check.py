"""The check on every compile: the library computes the integers of the program, with every instruction set."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mobile.runtime.net import CompiledNet
from shared.integer import Program, outputs
from shared.integer.format import Integers


class Check(NamedTuple):
    """How one instruction set compared with `shared.integer.run`."""

    instructions: str
    samples: int
    mismatches: int
    """Samples of which an output differs."""


def stimuli(program: Program, count: int, rng: np.random.Generator) -> tuple[Integers, ...]:
    """Integers over the whole range of each input; the first two samples are its ends."""
    arrays = []
    for input in program.inputs:
        array = rng.integers(input.format.low, input.format.high + 1, (count, *input.shape))
        array[:2] = np.array([input.format.low, input.format.high]).reshape(2, *(1,) * len(input.shape))[:count]
        arrays.append(array)
    return tuple(arrays)


def check(net: CompiledNet, inputs: Sequence[Integers]) -> tuple[Check, ...]:
    """One comparison for each instruction set that this machine has; the net is left on the one it had."""
    expected = outputs(net.program, *inputs)
    used, checks = net.instructions, []
    for name in net.available():
        net.use(name)
        differs = np.zeros(len(inputs[0]), bool)
        for ours, theirs in zip(net(*inputs), expected, strict=True):
            differs |= (ours != theirs).reshape(len(theirs), -1).any(1)
        checks.append(Check(name, len(differs), int(differs.sum())))
    net.use(used)
    return tuple(checks)
