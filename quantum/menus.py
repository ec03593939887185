"""What each angle may become: the levels at which the device runs its gate for less, or itself."""

from quantum.circuit import Circuit
from quantum.levels import LevelTable
from shared import Levels

MODES = ("all", "prune", "snap")


def angle_levels(circuit: Circuit, table: LevelTable, mode: str = "all") -> Levels:
    """The menu of an untied circuit's angles, in the order of its weights.

    `mode` keeps every level (`all`), only 0 (`prune`), or only those beside 0 (`snap`): in a circuit all of them are
    the same operation at different prices (CompVQC, arXiv 2207.01578).
    """
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is unknown: use one of {', '.join(MODES)}")
    gates = circuit.trainable
    keep = {"all": lambda angle: True, "prune": lambda angle: angle == 0, "snap": lambda angle: angle != 0}[mode]
    return Levels(
        levels=[tuple(filter(keep, table.levels(gate.name))) for gate in gates],
        period=[gate.period for gate in gates],
    )
