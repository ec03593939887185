"""What each angle may become: the levels at which the device runs its gate for less, or itself."""

import math
from collections.abc import Collection

from quantum.circuits.circuit import Circuit
from quantum.compilation.levels import LevelTable
from shared import Levels

MODES = ("all", "prune", "snap")


def angle_levels(circuit: Circuit, table: LevelTable, mode: str = "all", fixed: Collection[int] = ()) -> Levels:
    """The menu of an untied circuit's angles, in the order of its weights.

    `mode` keeps every level (`all`), only 0 (`prune`), or only those beside 0 (`snap`): in a circuit all of them are
    the same operation at different prices (CompVQC, arXiv 2207.01578). `fixed` weights are those of gates without an
    angle, at pi: to prune is to drop such a gate, not to train it, and to snap leaves it.
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
