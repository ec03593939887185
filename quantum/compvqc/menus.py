"""The menu of each angle: the levels at which its gate costs less on the device, or the angle itself."""

import math
from collections.abc import Collection

from quantum.circuits.circuit import Circuit
from quantum.compilation.levels import LevelTable
from shared import Levels

MODES = ("all", "prune", "snap")


def angle_levels(circuit: Circuit, table: LevelTable, mode: str = "all", fixed: Collection[int] = ()) -> Levels:
    """The menu of an untied circuit's angles, in the order of its weights.

    `mode` keeps all levels (`all`), only 0 (`prune`), or only those other than 0 (`snap`): in a circuit all of them are
    the same operation at different prices (CompVQC, arXiv 2207.01578). The `fixed` weights belong to gates without an
    angle, at pi: `prune` may remove such a gate but does not train it, and `snap` leaves it unchanged.
    """
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is unknown: use one of {', '.join(MODES)}")
    gates = circuit.trainable
    take = {"all": lambda angle: True, "prune": lambda angle: angle == 0, "snap": lambda angle: angle != 0}[mode]
    levels = [tuple(filter(take, table.levels(gate.name))) for gate in gates]
    if mode != "all":
        for weight in fixed:
            levels[weight] = (0.0, math.pi) if mode == "prune" else (math.pi,)
    return Levels(
        levels=levels,
        period=[gate.period for gate in gates],
        keep=[mode == "all" or weight not in fixed for weight in range(len(gates))],
    )
