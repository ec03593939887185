"""A compiled price says what the transpiler says: as a whole always, and block by block around a repriced point."""

import math
from functools import cache

import pytest
import torch
from circuit_cases import draw_weights
from torch import Tensor

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit, Gate
from quantum.circuits.lossless import lossless
from quantum.circuits.readout import Readout, per_class
from quantum.compilation.compile import compile_circuit, deploy
from quantum.compilation.levels import level_table
from quantum.compvqc.menus import angle_levels
from quantum.compvqc.prices import CompiledPrice
from quantum.compvqc.regrow import with_slots
from quantum.devices.target import device
from quantum.interop.qiskit import to_qiskit
from shared.core.testing import check_price

DEVICES = ("nairobi", "torino", "cz,rzz,rx,rz@line:5")
FIXED = Circuit(
    3,
    (
        *(Gate("ry", (w,), weight=w) for w in range(3)),
        Gate("iswap", (0, 1)),
        Gate("crx", (1, 2), weight=3),
        Gate("swap", (0, 2)),
        Gate("ry", (0,), weight=4),
        Gate("ch", (2, 0)),
        Gate("ry", (0,), weight=5),
    ),
)
"""Entanglers that nobody can leave out, and one that anybody can."""

READING = Circuit(2, (Gate("ry", (0,), weight=0), Gate("rx", (1,), feature=0), Gate("crx", (0, 1), weight=1)))
READING = Circuit(2, (*READING.gates, Gate("ry", (1,), feature=1), Gate("ry", (0,), weight=2)))
"""Features between weights: their angles stay open when the circuit is compiled."""

CIRCUITS = {
    "seismic": ansatz("seismic", 3, 1),
    "line with slots": with_slots(ansatz("line", 3, 1))[0],
    "cx with slots": with_slots(ansatz("line_cx", 3, 1))[0],
    "fixed": FIXED,
    "reading": READING,
}


@cache
def price(kind: str, where: str = "nairobi") -> CompiledPrice:
    circuit, target = CIRCUITS[kind], device(where)
    return CompiledPrice(circuit, per_class(circuit.wires, 2), target, level_table(target))


def points(of: CompiledPrice) -> dict[str, Tensor]:
    """A generic point, one with every other weight at 0, one at the menu's levels, and nothing but zeros."""
    free = draw_weights(of.circuit, 1)[:, None]
    sparse = torch.where(torch.arange(len(free))[:, None] % 2 == 0, free, 0.0)
    levels = angle_levels(of.circuit, of.table).menu(free).values[:, 0]
    return {"free": free, "sparse": sparse, "levels": levels, "zeros": torch.zeros_like(free)}


@pytest.mark.parametrize("kind", CIRCUITS)
@pytest.mark.parametrize("point", ["free", "sparse", "levels", "zeros"])
def test_the_laws_of_a_price(kind, point):
    """Also once repriced, and repriced elsewhere: a price that was tight at one point becomes tight at the next."""
    first = price(kind)
    z = points(first)[point]
    check_price(first, z)
    second = first.reprice(points(first)["free"])
    check_price(second, z)
    check_price(second.reprice(torch.zeros_like(z)), z)


@pytest.mark.parametrize("where", DEVICES)
@pytest.mark.parametrize("point", ["free", "levels"])
def test_it_measures_what_the_transpiler_makes_of_the_simplified_circuit(where, point):
    of = price("seismic", where)
    z = points(of)[point]
    short, _ = lossless(of.circuit.bind(z[:, 0].tolist()), of.readout)
    assert of.measure(z) == compile_circuit(to_qiskit(short), of.device).cost
    assert of.measure(z) == deploy(of.circuit.bind(z[:, 0].tolist()), of.readout, of.device)[0].cost


@pytest.mark.parametrize("where", DEVICES)
def test_before_it_is_repriced_a_block_costs_what_the_table_says(where):
    of = price("seismic", where)
    turns = torch.arange(-9, 10, dtype=torch.float64) * math.pi / 2
    offered = torch.cat([turns, turns + 0.3]).expand(of.circuit.weights, -1)[..., None]
    prices = of.price(offered)
    for gate, row in zip(of.circuit.trainable, prices.tolist(), strict=True):
        period = round(gate.period / (math.pi / 2))
        at_turns = [of.table.on(gate.name, turn % period).cost for turn in range(-9, 10)]
        assert row == at_turns + [of.table.on(gate.name, None).cost] * 19


def test_prices_are_double_precision():
    """In float32 a price of 1e-4 beside one of 0.1 has three digits left, and no sum is tight."""
    of = price("seismic")
    for each in (of, of.reprice(points(of)["free"])):
        assert each.price(torch.zeros(of.circuit.weights, 1, 1)).dtype == torch.float64


def test_an_angle_near_a_level_is_at_it():
    of = price("seismic")
    z = points(of)["levels"]
    assert torch.equal(of.price(z[:, None]), of.price(z[:, None] + 1e-7))
    assert torch.equal(of.price(z[:, None]), of.price(z[:, None].float()))


def test_a_circuit_that_nothing_is_measured_of_costs_nothing():
    """Every gate is diagonal, so measuring sees none of them: 0 in total, though each has a price of its own."""
    diagonal = Circuit(2, (Gate("rzz", (0, 1), weight=0), Gate("crz", (0, 1), weight=1)))
    of = CompiledPrice(diagonal, Readout(((0,), (1,)), ((1.0, 0.0), (0.0, 1.0))), *nairobi())
    z = torch.tensor([[0.3], [0.4]], dtype=torch.float64)
    assert of.measure(z) == 0
    assert of.price(z[:, None]).min() > 0
    check_price(of, z)
    assert of.reprice(z).price(z[:, None]).sum() == 0


def nairobi():
    return device("nairobi"), level_table(device("nairobi"))


def test_gates_that_stay_are_paid_for_whatever_the_others_take():
    of = price("fixed")
    zeros = torch.zeros(of.circuit.weights, 1, dtype=torch.float64)
    fixed = of.measure(zeros)
    assert fixed > 0
    tight = of.reprice(points(of)["free"])
    assert float(tight.price(zeros[:, None]).sum()) == pytest.approx(fixed, rel=1e-12)


def test_an_entangler_is_priced_by_what_leaving_it_out_saves():
    """Two that differ by their place only differ in price as the compiled circuits do, to within the common factor."""
    of = price("seismic")
    z = points(of)["free"]
    tight, total = of.reprice(z), of.measure(z)
    saved, priced = [], []
    for block, gate in enumerate(of.circuit.trainable):
        if gate.arity == 2:
            without = z.clone()
            without[block] = 0.0
            saved.append(max(total - of.measure(without), 0.1 * of.table.on(gate.name, None).cost))
            priced.append(float(tight.price(z[:, None])[block, 0]))
    ratios = torch.tensor(priced) / torch.tensor(saved)
    torch.testing.assert_close(ratios, ratios[:1].expand(len(ratios)))
    assert len({round(value, 6) for value in saved}) > 3
