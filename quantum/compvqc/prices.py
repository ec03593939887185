"""The price of a point on a device: `-log ESP` of its compiled circuit."""

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
"""Least price of a gate as a share of its table price: a gate that the transpiler absorbs at this point may cost its
full price at another."""


@dataclass(frozen=True, eq=False)
class CompiledPrice:
    """`-log ESP` of an untied circuit on a device, block by block from the level table, as a whole from the transpiler.

    A compiler's price is not additive: gates merge, and pairs that are not neighbours need swaps. `reprice` therefore
    compiles the circuit at a point once without each of its entanglers and scales the entangler's table row by the
    saving. One factor for all rows then makes the sum tight at the point. The cost of the gates without a weight is
    divided evenly among all blocks, independent of their angles.

    `factors` `(blocks,)` is the scale of each block's row, `share` the part of a block's cost that does not depend on
    its angle.
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
        """For each block the table's price at every quarter turn, and in the last entry that at any other angle."""
        gates = [gate.name for gate in self.circuit.trainable]
        row = {name: [self.table.on(name, q).cost for q in (*quarters(name), None)] for name in set(gates)}
        return [row[name] for name in gates]

    def reprice(self, z: Tensor) -> "CompiledPrice":
        """Prices that add up to `measure(z)` at `z`, with each entangler priced by the compiled saving without it."""
        total = self.measure(z)
        table = replace(self, factors=None, share=0.0).price(z[:, None])[:, 0]
        factors = torch.ones(len(z), dtype=torch.float64)
        if self.factors is not None and self.factors.any():  # a point without cost has no information on others
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
