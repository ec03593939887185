"""What compression is held against: small circuits trained from scratch, and the smallest angles dropped."""

import math
from dataclasses import replace

import pytest
import torch
from circuit_cases import draw_weights

from quantum.circuits.ansatz import ansatz, line_cx
from quantum.circuits.circuit import Circuit, Gate
from quantum.circuits.encode import angle
from quantum.compvqc.baselines import magnitude_prune, random_starts, train_small
from quantum.tasks.classification import Classification, classification
from quantum.tasks.data import load
from quantum.tasks.training import Training

QUICK = Training(steps=15, inner_steps=5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reading(groups: int) -> Circuit:
    """An encoder, then `groups` times an entangling block and the features again."""
    block, encoder = ansatz("line", 3, 1), angle(3, 4)
    circuit = encoder
    for k in range(groups):
        own = tuple(replace(gate, weight=gate.weight + k * block.weights) for gate in block.gates)
        circuit = circuit + Circuit(3, own) + encoder
    return circuit + Circuit(3, (Gate("ry", (0,), weight=groups * block.weights),))


@pytest.fixture(scope="module")
def iris() -> Classification:
    return classification(ansatz("seismic", 3, 1), load("iris", 0), training=QUICK)


@pytest.fixture(scope="module")
def again() -> Classification:
    return classification(reading(2), load("iris", 0), encoding="own", training=QUICK)


# Train small ------------------------------------------------------------------------------------------------------


def test_starts_are_uniform_and_of_the_generator_alone(iris):
    starts = random_starts(iris, 500, generator())
    assert starts.shape == (500, iris.circuit.weights)
    assert starts.dtype == torch.float64
    assert -math.pi <= starts.min() < -3.1
    assert 3.1 < starts.max() < math.pi
    assert abs(starts.mean()) < 0.1
    assert torch.equal(starts, random_starts(iris, 500, generator()))
    assert not torch.equal(starts, random_starts(iris, 500, generator(1)))


def test_small_circuits_are_lines_of_the_asked_layers(iris):
    for count, (task, weights) in zip((1, 3), train_small(iris, (1, 3), 2, generator()), strict=True):
        assert task.circuit == line_cx(3, count)
        assert weights.shape == (task.circuit.weights,)
        assert task.states is iris.states


def test_the_start_of_most_merit_is_kept(iris):
    """The same starts, trained one by one."""
    ((task, weights),) = train_small(iris, (2,), 4, generator(3))
    each = [task.train(start) for start in random_starts(task, 4, generator(3))]
    assert task.selection_score(weights) == pytest.approx(max(map(task.selection_score, each)), abs=1e-9)
    assert len(set(map(task.selection_score, each))) > 1


def test_merit_counts_what_is_right_on_training_and_validation_then_less_loss(iris):
    weights = draw_weights(iris.circuit, 0)
    parts = ("train", "val")
    loss = sum(float(iris.cross_entropy(weights, part)) * len(iris.labels[part]) for part in parts)
    assert iris.selection_score(weights) == (sum(iris.correct(weights, part) for part in parts), -loss)


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
def test_a_small_circuit_reads_what_the_large_one_reads_again(again, layers):
    """All feature reads of the body, in their order; around them the line ansatz, unchanged."""
    ((task, weights),) = train_small(again, (layers,), 1, generator())
    reads = [gate for gate in task.circuit.gates if gate.feature is not None]
    assert reads == [gate for gate in again.circuit.gates if gate.feature is not None]
    assert Circuit(3, tuple(g for g in task.circuit.gates if g.feature is None)) == line_cx(3, layers)
    assert task.logits(weights, "val").shape == (len(task.labels["val"]), 3)


def test_reads_are_spread_over_the_layers(again):
    """Two reads between three layers: one after the first, one after the second."""
    ((task, _),) = train_small(again, (3,), 1, generator())
    kinds = "".join("x" if g.feature is not None else "w" if g.weight is not None else "c" for g in task.circuit.gates)
    assert kinds == "wwwwwwcc" + "xxxx" + "wwwwwwcc" + "xxxx" + "wwwwwwcc" + "www"


def test_a_read_of_a_wire_that_was_trained_since_is_another_read():
    """Wire by wire, without entanglers: still two reads, not one of twice the angle."""
    wire = [
        Gate("ry", (0,), weight=0),
        Gate("rx", (0,), feature=0),
        Gate("rz", (1,), weight=1),
        Gate("rx", (1,), feature=1),
    ]
    more = [Gate("ry", (0,), weight=2), Gate("rx", (0,), feature=0), Gate("rx", (1,), feature=1)]
    data = load("iris", 0)
    start = Circuit(3, tuple(Gate("rx", (w,), feature=w) for w in range(3)))
    body = Circuit(3, (*wire, *more, Gate("cx", (1, 2))))
    task = classification(start + body, data, encoding="own", training=QUICK)
    ((small, _),) = train_small(task, (2,), 1, generator())
    kinds = "".join("x" if g.feature is not None else "-" for g in small.circuit.gates)
    assert kinds.strip("-").replace("-" * 8, "|") == "xx|xx"


# Magnitude pruning ------------------------------------------------------------------------------------------------


def test_the_angles_nearest_to_zero_go_and_stay_at_zero(iris):
    weights = draw_weights(iris.circuit, 1)
    periods = [gate.period for gate in iris.circuit.trainable]
    far = torch.tensor([abs(math.remainder(w, p)) for w, p in zip(weights.tolist(), periods, strict=True)])
    for share, (pruned, free) in zip(
        (0.0, 0.3, 0.8, 1.0), magnitude_prune(iris, weights, (0.0, 0.3, 0.8, 1.0)), strict=True
    ):
        dropped = round(share * len(weights))
        assert int((~free).sum()) == dropped
        assert (pruned[~free] == 0).all()
        assert (pruned[free] != 0).all()
        if 0 < dropped < len(weights):
            assert far[~free].max() <= far[free].min()


def test_a_controlled_rotation_by_a_full_turn_is_not_small():
    """CRX(2 pi) is a Z on its control: of the two, RX(2 pi) goes."""
    circuit = Circuit(3, (Gate("crx", (0, 1), weight=0), Gate("rx", (2,), weight=1), Gate("ry", (1,), weight=2)))
    task = classification(circuit, load("iris", 0), training=QUICK)
    weights = torch.tensor([2 * math.pi, 2 * math.pi, 3.0], dtype=torch.float64)
    ((_, free),) = magnitude_prune(task, weights, (1 / 3,))
    assert free.tolist() == [True, False, True]


def test_what_is_left_is_trained_from_the_dense_weights(iris):
    weights = draw_weights(iris.circuit, 2)
    for pruned, free in magnitude_prune(iris, weights, (0.4, 0.6)):
        start = torch.where(free, weights, 0.0)
        assert iris.loss(pruned[:, None]) < iris.loss(start[:, None])
        assert torch.equal(pruned, iris.retrain(start, free, start[None])[0])
