"""What a point costs on a device: `-log ESP` of the circuit that the transpiler makes of it."""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from quantum.circuits.circuit import Circuit
from quantum.circuits.readout import Readout
from quantum.compilation.compile import deploy
from quantum.compilation.levels import LevelTable, quarters
from quantum.devices.target import Device
from shared.core.calibration import calibration

NEAR = 1e-5  # radians: float rounding of a level a few periods away

LEAST_SHARE = 0.1
"""No gate is priced below this share of its table price: one that the transpiler absorbs today may cost tomorrow."""


@dataclass(frozen=True, eq=False)
class CompiledPrice:
    """`-log ESP` of an untied circuit on a device, block by block from the level table, as a whole from the transpiler.

    A compiler's price is not additive: gates merge, and pairs that are not neighbours need swaps. `reprice` therefore
    compiles the circuit around a point once for every entangler in it, left out, and scales that gate's table row by
    what leaving it out saves. One factor for all rows then makes the sum tight at the point. What the gates without a
    weight cost is shared by all blocks, whatever they take.

    `factors` `(blocks,)` holds the scale of each block's row, `share` what each block costs at any angle.
    """

    circuit: Circuit
    readout: Readout
    device: Device
    table: LevelTable
    factors: Tensor | None = None
    share: float = 0.0
    unit: str = field(default="-log ESP", init=False)

    def measure(self, z: Tensor) -> float:
        compiled, _ = deploy(self.circuit.bind(z[:, 0].tolist()), self.readout, self.device)
        return compiled.cost

    def price(self, values: Tensor) -> Tensor:
        """The table's price of each entry, scaled: `(blocks, k, 1)` to `(blocks, k)`."""
        angles, turn = values[..., 0].double(), math.pi / 2
        nearest = torch.round(angles / turn)
        special = (angles - nearest * turn).abs() < NEAR
        rows = self._rows
        quarter = torch.remainder(nearest, torch.tensor([len(row) - 1 for row in rows])[:, None]).long()
        table = torch.tensor([row[:-1] + [row[-1]] * (9 - len(row)) + row[-1:] for row in rows], dtype=torch.float64)
        prices = table.gather(1, torch.where(special, quarter, 8))
        return self.share + (prices if self.factors is None else prices * self.factors[:, None])

    @property
    def _rows(self) -> list[list[float]]:
        """For each block the table's price at every quarter turn, and last at any other angle."""
        gates = [gate.name for gate in self.circuit.trainable]
        row = {name: [self.table.on(name, q).cost for q in (*quarters(name), None)] for name in set(gates)}
        return [row[name] for name in gates]

    def reprice(self, z: Tensor) -> "CompiledPrice":
        """Prices that add up to `measure(z)` at `z`, each entangler's by what the compiled circuit saves without it."""
        total = self.measure(z)
        table = replace(self, factors=None, share=0.0).price(z[:, None])[:, 0]
        factors = torch.ones(len(z), dtype=torch.float64)
        if self.factors is not None and self.factors.any():  # a point that costs nothing says nothing of other points
            factors = self.factors.clone()
        for block, gate in enumerate(self.circuit.trainable):
            if gate.arity == 2 and table[block] > 0:
                without = z.clone()
                without[block] = 0.0
                saved = total - self.measure(without)
                factors[block] = max(saved / float(table[block]), LEAST_SHARE)
        spent = float((table * factors).sum())
        without_weights = self.measure(torch.zeros_like(z)) if spent > 0 else total
        fixed, scale = calibration(total, spent, without_weights, 1.0)
        return replace(self, factors=factors * scale, share=fixed / len(z))
