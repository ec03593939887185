"""The level table says what the transpiler makes of one gate, on each edge, and is kept on disk as it was built."""

import json
import math
import time
from typing import NamedTuple

import pytest
from qiskit.transpiler import Target, generate_preset_pass_manager

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import ROTATIONS, Circuit, Gate
from quantum.circuits.lossless import special_angle
from quantum.compilation import levels
from quantum.compilation.compile import count
from quantum.compilation.levels import GENERIC, LevelTable, build, level_table, quarters
from quantum.compvqc.menus import angle_levels
from quantum.devices.target import device
from quantum.interop.qiskit import to_qiskit

SUPERCONDUCTING = ("nairobi", "sherbrooke", "torino")
FRACTIONAL = "cz,rzz,rx,rz@line:5"

TWOQ = {
    "crx": (0, 2, 1, 2, 0, 2, 1, 2, 2),
    "cry": (0, 2, 1, 2, 0, 2, 1, 2, 2),
    "crz": (0, 2, 1, 2, 0, 2, 1, 2, 2),
    "cp": (0, 2, 1, 2, 2),
    "rzz": (0, 1, 0, 1, 2),
    "rxx": (0, 1, 0, 1, 2),
    "ryy": (0, 1, 0, 1, 2),
}
"""Two-qubit gates at each quarter turn of the period, then at a generic angle: the same for CX, ECR and CZ devices.

Measured with Qiskit 2.6.2 at optimization level 3 on FakeNairobiV2, FakeSherbrooke and FakeTorino.
"""

TWOQ_FRACTIONAL = {
    "crx": (0, 1, 1, 1, 0, 1, 1, 1, 1),
    "cry": (0, 1, 1, 1, 0, 1, 1, 1, 1),
    "crz": (0, 1, 1, 1, 0, 1, 1, 1, 1),
    "cp": (0, 1, 1, 1, 1),
    "rzz": (0, 1, 0, 1, 1),
}
"""The same for the basis {cz, rzz, rx, rz}: only what is no entangler pays.

O3 does not see that CRZ(2 pi) is a Z and RZZ(pi) two of them: there it counts 1, but the lossless pass comes first.
"""

PULSES = {"rx": (0, 1, 1, 1, 2), "ry": (0, 1, 1, 1, 2), "rz": (0, 0, 0, 0, 0), "p": (0, 0, 0, 0, 0)}
"""One-qubit pulses (sx or x): a quarter turn is one, any other angle two, and RZ is a change of frame."""


def row(table, gate: str, field: str, edge=None) -> tuple[float, ...]:
    return tuple(getattr(table.on(gate, quarter, edge), field) for quarter in (*quarters(gate), None))


SMALL = "cx,rz,sx,x@0-1"


@pytest.fixture(scope="module")
def small() -> LevelTable:
    return build(device(SMALL))


class Built(NamedTuple):
    spec: str
    target: Target
    table: LevelTable
    cpu_s: float


@pytest.fixture(scope="module", params=[*SUPERCONDUCTING, FRACTIONAL])
def built(request) -> Built:
    """A device's table, and how long it took."""
    chosen, start = device(request.param), time.process_time()
    return Built(request.param, chosen.target, build(chosen), time.process_time() - start)


def test_it_takes_seconds(built):
    """Issue 2 allows 15 s of wall time; CPU time is what a busy machine leaves alone."""
    assert built.cpu_s < 15


@pytest.mark.parametrize("gate", TWOQ)
def test_two_qubit_gates_by_level(built, gate):
    expected = TWOQ_FRACTIONAL if built.spec == FRACTIONAL else TWOQ
    if gate in expected:
        assert row(built.table, gate, "twoq") == expected[gate]


@pytest.mark.parametrize("gate", PULSES)
def test_one_qubit_pulses_by_level(built, gate):
    if built.spec == FRACTIONAL:  # RX is native, and at any angle one pulse
        assert row(built.table, gate, "pulses") == ((0, 0, 0, 0, 0) if gate in ("rz", "p") else (0, 1, 1, 1, 1))
    else:
        assert row(built.table, gate, "pulses") == PULSES[gate]


def test_every_gate_has_a_price_at_every_angle_on_every_place(built):
    table = built.table
    edges = {tuple(edge) for edge in built.target.build_coupling_map().get_edges()}
    places = {1: {(q,) for q in range(built.target.num_qubits)}, 2: edges | {edge[::-1] for edge in edges}}
    assert set(table.costs) == {(gate, quarter) for gate in ROTATIONS for quarter in (*quarters(gate), None)}
    for (gate, _), costs in table.costs.items():
        assert set(costs) == places[1 if gate in PULSES else 2]
        assert all(cost.cost >= 0 and cost.duration_ns >= 0 for cost in costs.values())


def test_no_angle_is_free_but_the_identity(built):
    table = built.table
    for gate in ROTATIONS:
        zero = table.on(gate, 0)
        assert (zero.twoq, zero.pulses, zero.cost) == (0, 0, 0)
        assert (table.on(gate, None).cost > 0) == (gate not in ("rz", "p"))


def test_levels_are_the_angles_that_cost_less(built):
    table = built.table
    for gate, period in ROTATIONS.items():
        angles = table.levels(gate)
        generic = table.on(gate, None).cost
        assert angles[0] == 0
        assert all(0 <= angle < period for angle in angles)
        for quarter in quarters(gate):
            cheaper = table.on(gate, quarter).cost < 0.9 * generic
            assert (quarter * math.pi / 2 in angles) == (cheaper or quarter == 0)


TURNS = (
    dict.fromkeys(("rx", "ry", "rzz"), (0, 1, 2, 3))
    | {"rz": (0,), "p": (0,), "cp": (0, 2)}
    | dict.fromkeys(("crx", "cry", "crz"), (0, 2, 4, 6))
)
"""A quarter turn under control takes two entanglers like any other angle: it is no level, whatever pulses it saves."""

TURNS_FRACTIONAL = dict.fromkeys(("rx", "ry", "rz", "p", "cp"), (0,)) | {"rzz": (0, 2), "crz": (0, 4), "crx": (0, 4)}


def test_levels_by_gate(built):
    for gate, turns in (TURNS_FRACTIONAL if built.spec == FRACTIONAL else TURNS).items():
        assert built.table.levels(gate) == tuple(turn * math.pi / 2 for turn in turns)


EDGES = {
    "nairobi": [(0, 1), (3, 1)],
    "sherbrooke": [(1, 0), (20, 33)],
    "torino": [(0, 1), (8, 7)],
    FRACTIONAL: [(0, 1), (3, 2)],
}


EACH = (("crx", 2), ("crx", None), ("cry", 1), ("cry", None), ("crz", 4), ("crz", 6), ("rzz", 1), ("cp", None))


def test_an_edge_costs_what_its_own_compile_costs(built):
    """Two-qubit gates exactly; where errors differ from the median the transpiler may take other pulses around them.

    Every gate at every level, on every fifth edge of each device, was within 11 % (FakeNairobiV2, FakeTorino).
    """
    for edge in EDGES[built.spec]:
        manager = generate_preset_pass_manager(3, target=built.target, seed_transpiler=0, initial_layout=list(edge))
        for gate, quarter in EACH:
            angle = GENERIC if quarter is None else quarter * math.pi / 2
            short = Circuit(2, tuple(special_angle(Gate(gate, (0, 1), angle))))
            compiled = count(manager.run(to_qiskit(short)), device(built.spec))
            priced = built.table.on(gate, quarter, edge)
            assert priced.twoq == compiled.twoq
            assert priced.cost == pytest.approx(compiled.cost, rel=1e-9 if built.spec == FRACTIONAL else 0.11)


def test_edges_differ_by_their_errors_and_no_edge_is_the_median(built):
    costs = sorted(cost.cost for cost in built.table.costs["rzz", None].values())
    middle = (costs[(len(costs) - 1) // 2] + costs[len(costs) // 2]) / 2
    assert built.table.on("rzz", None).cost == pytest.approx(middle, rel=1e-12)
    assert (len(set(costs)) > 1) == (built.spec != FRACTIONAL)


def test_a_median_is_taken_once_however_often_it_is_asked_for(small, monkeypatch):
    """Taken at each call, they were four fifths of a compression's time on a device of 133 qubits."""
    table = LevelTable(small.costs)
    first = table.on("rzz", None)
    monkeypatch.setattr(levels, "median", lambda costs: pytest.fail("it was taken already"))
    assert table.on("rzz", None) == first


# Kept on disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("QWEDGE_CACHE", str(tmp_path))
    level_table.cache_clear()
    yield tmp_path
    level_table.cache_clear()


def test_what_was_kept_is_what_was_built(folder, small, monkeypatch):
    target = device(SMALL)
    first = level_table(target)
    assert first.costs == small.costs
    (file,) = folder.iterdir()
    assert target.sha256[:16] in file.name
    level_table.cache_clear()
    monkeypatch.setattr(levels, "build", lambda device: pytest.fail("it was kept, so it need not be built"))
    again = level_table(target)
    assert again is not first
    assert again.costs == first.costs


def missing_gate(text: str) -> str:
    return json.dumps([line for line in json.loads(text) if line[0] != "rxx"])


def missing_edge(text: str) -> str:
    return json.dumps([line for line in json.loads(text) if line[2] != [1, 0]])


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: "null",
        lambda text: "[[1, 2]]",
        lambda text: text.replace("pulses", "pulse"),
        missing_gate,
        missing_edge,
    ],
    ids=["empty", "torn", "no lines", "object", "null", "short lines", "other field", "gate missing", "edge missing"],
)
def test_a_damaged_file_is_built_again(folder, damage, small, monkeypatch):
    target = device(SMALL)
    monkeypatch.setattr(levels, "build", lambda device: small)
    level_table(target)
    (file,) = folder.iterdir()
    whole = file.read_text()
    file.write_text(damage(whole))
    level_table.cache_clear()
    assert level_table(target).costs == small.costs
    assert [path.name for path in folder.iterdir()] == [file.name]
    assert file.read_text() == whole


def test_other_devices_have_other_files(folder, small, monkeypatch):
    monkeypatch.setattr(levels, "build", lambda device: small)
    for spec in (SMALL, "cz,rz,sx,x@0-1"):
        level_table(device(spec))
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path, small, monkeypatch):
    monkeypatch.setattr(levels, "build", lambda device: small)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QWEDGE_CACHE", str(tmp_path / "file" / "below"))
    level_table.cache_clear()
    assert level_table(device(SMALL)) is small
    level_table.cache_clear()


# Menus ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nairobi():
    return level_table(device("nairobi"))


@pytest.mark.parametrize("mode", ["all", "prune", "snap"])
def test_a_menu_holds_the_levels_of_its_mode(nairobi, mode):
    circuit = ansatz("seismic", 4, 1)
    menu = angle_levels(circuit, nairobi, mode)
    for gate, angles, period in zip(circuit.gates, menu.levels, menu.period, strict=True):
        expected = {"all": lambda a: True, "prune": lambda a: a == 0, "snap": lambda a: a != 0}[mode]
        assert angles == tuple(filter(expected, nairobi.levels(gate.name)))
        assert period == ROTATIONS[gate.name]
    assert all(menu.keep)


@pytest.mark.parametrize(("mode", "levels"), [("prune", (0.0, math.pi)), ("snap", (math.pi,))])
def test_a_gate_without_an_angle_is_dropped_or_left(nairobi, mode, levels):
    """Unless every level is on the menu, it is not trained into a dearer one."""
    circuit = ansatz("seismic", 4, 1)
    menu = angle_levels(circuit, nairobi, mode, fixed={4, 6})
    plain = angle_levels(circuit, nairobi, mode)
    for weight in range(circuit.weights):
        assert menu.keep[weight] == (weight not in (4, 6))
        assert menu.levels[weight] == (levels if weight in (4, 6) else plain.levels[weight])
    assert angle_levels(circuit, nairobi, "all", fixed={4, 6}) == angle_levels(circuit, nairobi)


def test_an_unknown_mode_is_refused(nairobi):
    with pytest.raises(ValueError, match="mode 'quantize' is unknown: use one of all, prune, snap"):
        angle_levels(ansatz("line"), nairobi, "quantize")
