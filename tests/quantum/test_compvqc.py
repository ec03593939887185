"""What the compressor hands back keeps its budget as compiled, its menu, and the function of its weights."""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit, Gate
from quantum.compilation.compile import deploy
from quantum.compilation.levels import level_table
from quantum.compvqc.baselines import random_starts
from quantum.compvqc.budget import parse
from quantum.compvqc.candidates import SelectionRule
from quantum.compvqc.menus import angle_levels
from quantum.compvqc.regrow import with_slots
from quantum.compvqc.search import Compression, CompVQC
from quantum.devices.target import device
from quantum.noise.engine.noisy import NoisyCircuit
from quantum.tasks.classification import Classification, classification
from quantum.tasks.data import PARTS, Data, Part
from quantum.tasks.training import Training
from shared import ADMM

QUICK = CompVQC(
    admm=ADMM(rho=0.03, steps=3, reprice_every=3, fine_tune=0),
    shrink_factor=0.6,
    restarts=1,
    polish=1,
    moves=2,
    rounds=1,
)
STARTS = 2


def exclusive_or(samples: int = 30) -> Data:
    """Points in a square whose class is whether they are in the first or third quarter: no circuit without an entangler
    tells them apart."""
    generator = torch.Generator().manual_seed(0)
    parts = {}
    for part in PARTS:
        x = math.pi * torch.rand(samples, 2, generator=generator, dtype=torch.float64)
        parts[part] = Part(x, ((x[:, 0] > math.pi / 2) ^ (x[:, 1] > math.pi / 2)).long())
    return Data("exclusive or", ("same", "other"), parts["train"], parts["val"], parts["test"], "0" * 64)


CIRCUITS = {
    "controlled": Circuit(
        3,
        tuple(
            Gate(name, (k % 3, (k + 1) % 3)[: 1 if name == "ry" else 2], weight=k)
            for k, name in enumerate(["ry"] * 3 + ["crx"] * 3 + ["ry"] * 3 + ["crz"] * 3 + ["ry"] * 3)
        ),
    ),
    "line": ansatz("line", 3, 2),
    "line_cx": ansatz("line_cx", 3, 2),
    "fixed": Circuit(
        3, (*(Gate("ry", (k,), weight=k) for k in range(3)), Gate("ch", (0, 1)), Gate("rx", (0,), weight=3))
    ),
}


@cache
def task(kind: str) -> tuple[Classification, Tensor]:
    """A task on three wires, and trained starts."""
    circuit = CIRCUITS[kind]
    classifier = classification(circuit, exclusive_or(), training=Training(steps=60, inner_steps=8, rate=0.08))
    return classifier, classifier.train(random_starts(classifier, STARTS, torch.Generator().manual_seed(0)))


@cache
def compressed(budget: str, kind: str, mode: str, where: str) -> Compression:
    classifier, starts = task(kind)
    return replace(QUICK, mode=mode).compress(
        classifier, device(where), parse(budget), starts, torch.Generator().manual_seed(0)
    )


CASES = [
    ("twoq<=2", "controlled", "all", "nairobi"),
    ("depth<=15", "line_cx", "all", "nairobi"),
    pytest.param(("depth_no_rz<=12,drop<=0.2", "controlled", "all", "nairobi"), marks=pytest.mark.slow),
    ("drop<=0.2", "controlled", "prune", "nairobi"),
    ("drop<=0.2", "controlled", "snap", "nairobi"),
    ("drop<=0.2", "line_cx", "prune", "nairobi"),
    ("drop<=0.2", "line_cx", "snap", "nairobi"),
    pytest.param(("drop<=0.1", "line", "all", "cz,rzz,rx,rz@line:5"), marks=pytest.mark.slow),
]


@pytest.fixture(params=CASES, ids=lambda case: " ".join(case), scope="module")
def case(request) -> tuple[Compression, str, str, str, str]:
    return compressed(*request.param), *request.param


def test_the_budget_holds_as_compiled(case):
    """Compiled once more, from the weights alone."""
    compression, budget, _, _, where = case
    limits = parse(budget)
    bound = compression.task.circuit.bind(compression.best.weights.tolist())
    compiled, _ = deploy(bound, compression.task.readout, device(where), (0, 1, 2, 3))
    for metric, limit in limits.limits:
        assert getattr(compiled, metric) == getattr(compression.best.compiled, metric) <= limit
    if limits.drop is not None:
        dense = compression.task.accuracy(compression.dense.weights, "val")
        assert compression.task.accuracy(compression.best.weights, "val") >= dense - limits.drop - 1e-9


def test_it_is_smaller(case):
    compression, _, _, mode, _ = case
    if mode != "snap":
        assert compression.best.compiled.twoq < compression.dense.compiled.twoq
    assert compression.best.cost_key <= compression.dense.cost_key


def test_every_frozen_angle_is_on_its_menu(case):
    """Of every candidate; a gate without an angle is dropped or left unless the whole menu is open."""
    compression, _, kind, mode, where = case
    own = task(kind)[0].circuit.weights
    table = level_table(device(where))
    for weight, gate in enumerate(compression.task.circuit.trainable):
        levels = [
            level
            for level in table.levels(gate.name)
            if mode == "all" or (level == 0 if mode == "prune" else level != 0)
        ]
        fixed = weight >= own and gate.arity == 2 and mode != "all"
        if fixed:
            levels = [math.pi, 0.0][: 2 if mode == "prune" else 1]
        for candidate in compression.candidates:
            if not candidate.free[weight]:
                angle = float(candidate.weights[weight])
                assert any(abs(math.remainder(angle - level, gate.period)) < 1e-9 for level in levels)
            else:
                assert not fixed


def test_the_compressed_circuit_is_its_compiled_one(case):
    """On every input there is, without noise: the same class scores from the device's gates and measured parities."""
    compression, _, _, _, where = case
    best = compression.best
    circuit = NoisyCircuit(best.compiled.circuit, device(where), best.compiled.measured, scale=0.0)
    for part in PARTS:
        deployed = best.readout.logits(circuit.expectations(best.readout, None, compression.task.states[part]))
        torch.testing.assert_close(deployed, compression.task.logits(best.weights, part), rtol=0, atol=1e-9)


def test_the_best_is_the_rule_s_choice(case):
    compression, budget, kind, _, _ = case
    rule = SelectionRule(parse(budget), compression.dense)
    assert rule.allows(compression.best)
    assert rule.best(compression.candidates) is compression.best
    assert min(c.val_loss for c in compression.candidates[:STARTS]) == compression.dense.val_loss
    dense, starts = task(kind)
    before = torch.stack([dense.cross_entropy(start, "val") for start in starts])
    assert compression.dense.val_loss == pytest.approx(float(before.min()), abs=1e-12)


def test_prune_only_leaves_nothing_but_zeros():
    compression = compressed("drop<=0.2", "controlled", "prune", "nairobi")
    assert (~compression.best.free).any()
    assert (compression.best.weights[~compression.best.free] == 0).all()


def test_snap_only_drops_nothing():
    compression = compressed("drop<=0.2", "controlled", "snap", "nairobi")
    periods = torch.tensor([gate.period for gate in compression.task.circuit.trainable], dtype=torch.float64)
    for candidate in compression.candidates[STARTS:]:
        assert (~candidate.free).any()
        turns = (candidate.weights / periods)[~candidate.free]
        assert ((turns - turns.round()).abs() > 0.1).all()


def test_gates_without_an_angle_are_never_trained_into_dearer_ones():
    """CX costs one entangler; as a free CRX it would cost two."""
    for mode in ("prune", "snap"):
        compression = compressed("drop<=0.2", "line_cx", mode, "nairobi")
        assert all(c.compiled.twoq <= compression.dense.compiled.twoq for c in compression.candidates)


def test_the_same_seed_gives_the_same_circuit():
    first, again = compressed(*CASES[0]), compressed.__wrapped__(*CASES[0])
    for a, b in zip(first.candidates, again.candidates, strict=True):
        assert torch.equal(a.weights, b.weights)
        assert torch.equal(a.free, b.free)
        assert (a.cost_key, a.selection_score) == (b.cost_key, b.selection_score)


def test_the_starts_are_left_as_they_are_and_progress_is_called():
    classifier, starts = task("fixed")
    before, calls = starts.clone(), []
    budget, generator = parse("twoq<=1"), torch.Generator().manual_seed(0)
    QUICK.compress(classifier, device("nairobi"), budget, starts, generator, progress=lambda *step: calls.append(step))
    assert torch.equal(starts, before)
    assert [(done, total) for done, total, _ in calls] == [(0, 3), (1, 3), (2, 3)]
    assert "start 1 of 2" in calls[0][2]


def test_a_budget_below_the_cheapest_circuit_is_refused_in_one_line():
    """A CH has no angle to drop, and takes one entangler on every device."""
    with pytest.raises(
        ValueError, match=r"^budget twoq<=0: the cheapest circuit found has 1 two-qubit gates, depth"
    ) as e:
        compressed("twoq<=0", "fixed", "all", "nairobi")
    assert "\n" not in str(e.value)
    assert str(e.value).endswith("allow more, or use another ansatz")


def test_slots_are_the_task_s_last_weights_and_the_dense_circuit_is_the_start_s():
    compression, (dense, starts) = compressed("depth<=15", "line_cx", "all", "nairobi"), task("line_cx")
    grown, values = with_slots(dense.circuit)
    assert compression.task.circuit == grown
    own = starts[:, : dense.circuit.weights]
    assert any(torch.equal(compression.dense.weights[: dense.circuit.weights], start) for start in own)
    assert compression.dense.weights[dense.circuit.weights :].tolist() == values
    assert angle_levels(grown, level_table(device("nairobi"))).levels
