"""A classification task keeps the laws of a task, whichever way its data gets into the circuit."""

import math
from dataclasses import replace

import pytest
import torch
from circuit_cases import draw_weights
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, log_softmax

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit
from quantum.circuits.encode import angle
from quantum.circuits.lossless import lossless
from quantum.circuits.readout import per_class
from quantum.simulation.simulate import evolve, expectations, zero_state
from quantum.tasks.classification import LOGIT_SCALE, Classification, classification
from quantum.tasks.data import PARTS, Data, Part, load
from quantum.tasks.training import Training
from shared.core.testing import check_task

QUICK = Training(steps=12, inner_steps=12)
WIRES, FEATURES = 3, 4


def small_data(samples: int = 12, classes: int = 3) -> Data:
    generator = torch.Generator().manual_seed(0)
    parts = {}
    for part in PARTS:
        x = math.pi * torch.rand(samples, FEATURES, generator=generator, dtype=torch.float64)
        parts[part] = Part(x, torch.arange(samples) % classes)
    return Data("small", tuple("abcd"[:classes]), parts["train"], parts["val"], parts["test"], "0" * 64)


def reuploading() -> Circuit:
    """Features, weights, the same features again, weights with other numbers."""
    block = ansatz("line", WIRES, 1)
    again = tuple(replace(gate, weight=gate.weight + block.weights) for gate in block.gates)
    encoder = angle(WIRES, FEATURES)
    return encoder + block + encoder + Circuit(WIRES, again)


def task(kind: str) -> Classification:
    if kind == "own":
        circuit = angle(WIRES, FEATURES) + ansatz("line", WIRES, 1)
    else:
        circuit = reuploading() if kind == "reuploading" else ansatz("seismic", WIRES, 1)
    encoding = "own" if kind == "reuploading" else kind
    return classification(circuit, small_data(), encoding=encoding, training=QUICK)


KINDS = ("angle", "amplitude", "own", "reuploading")


@pytest.fixture(params=KINDS, scope="module")
def each(request) -> Classification:
    return task(request.param)


def test_the_laws_of_a_task(each):
    check_task(each, draw_weights(each.circuit, 3)[:, None] / 4)


@pytest.mark.parametrize("rho", [0.5, 5.0])
def test_the_update_goes_to_where_the_loss_and_the_pull_balance(rho):
    """`grad loss(x) + rho (x - anchor) = 0`, once there are steps enough."""
    slow = replace(task("angle"), training=Training(inner_steps=400, inner_rate=0.02))
    anchor = draw_weights(slow.circuit, 8)[:, None]
    x = slow.fit(anchor, anchor, rho).requires_grad_()
    (slope,) = torch.autograd.grad(slow.cross_entropy(x[:, 0], "train"), x)
    assert slope.norm() > 0.05
    assert (slope + rho * (x - anchor)).norm() < 0.02 * slope.norm()


def test_a_free_angle_moves_and_a_frozen_one_does_not(each):
    x = draw_weights(each.circuit, 1)[:, None]
    for every in (1, 2, 5, 1000):
        free = (torch.arange(len(x)) % every == every - 1)[:, None]
        tuned = each.fit(x, x, 0.0, free)
        assert torch.equal(tuned[~free], x[~free])
        assert every == 1000 or not torch.equal(tuned[free], x[free])
        assert each.loss(tuned) <= each.loss(x)


def masked(each: Classification, weights: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """Adam on the full circuit, the frozen weights held by a mask: what training the shorter circuit has to equal."""
    x = weights.clone().requires_grad_()
    optimiser = torch.optim.Adam([x], lr=QUICK.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, QUICK.steps)
    for _ in range(QUICK.steps):
        optimiser.zero_grad()
        each.cross_entropy(torch.where(free, x, weights), "train").backward()
        optimiser.step()
        schedule.step()
    return torch.where(free, x, weights).detach()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_fine_tuning_the_simplified_circuit_is_fine_tuning_the_full_one(kind, data):
    """Angles frozen at levels leave a shorter circuit with other parities: same loss, and the same training."""
    each = task(kind)
    size = each.circuit.weights
    levels = st.integers(0, 7).map(lambda quarters: quarters * math.pi / 2)
    weights = torch.tensor(data.draw(st.lists(levels, min_size=size, max_size=size)), dtype=torch.float64)
    free = torch.tensor(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    # Each angle at a place of its own: where two cancel, Adam leaves the saddle in whichever direction rounding points.
    start = torch.where(free, weights + 0.3 + 0.07 * torch.arange(size), weights)
    short, readout = lossless(each.circuit.freeze(start.tolist(), free.tolist()), each.readout)
    shorter = replace(each, circuit=short, readout=readout)
    for part in PARTS:
        there = float(shorter.cross_entropy(start[free][: short.weights], part))
        assert there == pytest.approx(float(each.cross_entropy(start, part)), abs=1e-10)
    tuned = each.retrain(start, free, start[None])[0]
    torch.testing.assert_close(tuned, masked(each, start, free), rtol=0, atol=1e-5)


def test_several_starts_together_are_each_alone(each):
    starts = draw_weights(each.circuit, 2, 3)
    free = torch.arange(each.circuit.weights) % 3 > 0
    together = each.retrain(starts[0], free, starts)
    for start, trained in zip(starts, together, strict=True):
        alone = each.retrain(starts[0], free, start[None])[0]
        torch.testing.assert_close(trained, alone, rtol=0, atol=1e-7)
        assert torch.equal(trained[~free], starts[0][~free])


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_losses_and_counts_are_those_of_the_logits(each, leading):
    weights = draw_weights(each.circuit, 4, *leading)
    for part in PARTS:
        logits, labels = each.logits(weights, part), each.labels[part]
        assert logits.shape == (*leading, len(labels), 3)
        by_hand = -log_softmax(logits, -1)[..., torch.arange(len(labels)), labels].mean(-1)
        torch.testing.assert_close(each.cross_entropy(weights, part), by_hand, rtol=1e-12, atol=0)
        if not leading:
            right = sum(int(row.argmax()) == int(label) for row, label in zip(logits, labels, strict=True))
            assert each.correct(weights, part) == right
            assert each.accuracy(weights, part) == right / len(labels)
    if not leading:
        assert each.loss(weights[:, None]) == float(cross_entropy(each.logits(weights, "train"), each.labels["train"]))


def test_the_test_part_is_not_trained_on(each):
    """Nor the validation part: their labels may be anything."""
    garbage = {part: labels if part == "train" else (labels + 1) % 3 for part, labels in each.labels.items()}
    other = replace(each, labels=garbage)
    x = draw_weights(each.circuit, 5)
    free = torch.arange(len(x)) % 2 == 0
    assert torch.equal(each.train(x), other.train(x))
    assert torch.equal(each.retrain(x, free, x[None]), other.retrain(x, free, x[None]))
    assert torch.equal(each.fit(x[:, None], x[:, None] + 1, 0.3), other.fit(x[:, None], x[:, None] + 1, 0.3))


# Encodings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["own", "reuploading"])
def test_a_circuit_may_read_its_features_anywhere(kind):
    circuit = angle(WIRES, FEATURES) + ansatz("line", WIRES, 1) if kind == "own" else reuploading()
    data, readout = small_data(), per_class(WIRES, 3, LOGIT_SCALE)
    weights = draw_weights(circuit, 6)
    whole = readout.logits(expectations(circuit, weights, readout, x=data.val.x))
    torch.testing.assert_close(task(kind).logits(weights, "val"), whole, rtol=0, atol=1e-12)


def test_angles_are_encoded_before_the_circuit():
    body, data = ansatz("seismic", WIRES, 1), small_data()
    readout, weights = per_class(WIRES, 3, LOGIT_SCALE), draw_weights(body, 6)
    whole = readout.logits(expectations(angle(WIRES, FEATURES) + body, weights, readout, x=data.test.x))
    torch.testing.assert_close(task("angle").logits(weights, "test"), whole, rtol=0, atol=1e-12)


def test_amplitudes_are_the_state():
    body, data = ansatz("seismic", WIRES, 1), small_data()
    weights = draw_weights(body, 6)
    row = data.train.x[4] / data.train.x[4].norm()
    state = torch.cat([row, torch.zeros(2**WIRES - FEATURES)]).to(torch.complex128)[None]
    out = evolve(body, weights, None, state)[0].abs() ** 2
    readout = per_class(WIRES, 3, LOGIT_SCALE)
    expected = readout.logits(readout.parities(WIRES) @ out)
    torch.testing.assert_close(task("amplitude").logits(weights, "train")[4], expected, rtol=0, atol=1e-12)


def test_training_learns_iris():
    """Sanity: with 4 features in angles, 3 wires, 12 entanglers, most flowers are classified correctly."""
    classifier = classification(ansatz("seismic", 3, 1), load("iris", 0), training=Training(steps=60))
    weights = classifier.train(draw_weights(classifier.circuit, 0))
    assert classifier.accuracy(weights, "val") > 0.85


@pytest.mark.parametrize(
    ("circuit", "encoding", "message"),
    [
        (ansatz("line", 3), "phase", "encoding 'phase' is unknown: use angle, amplitude or own"),
        (reuploading(), "angle", "the circuit reads 4 features itself: use encoding own, not angle"),
        (reuploading(), "amplitude", "the circuit reads 4 features itself: use encoding own, not amplitude"),
        (ansatz("line", 3), "own", "encoding own, but the circuit reads no feature: use angle or amplitude"),
        (
            ansatz("line", 2),
            "angle",
            "3 classes on 2 wires: each class needs a wire; use more wires, 2 to 2 classes, or a readout of your own",
        ),
        (angle(3, 9) + ansatz("line", 3), "own", "the circuit reads feature 4 but the data has 4 columns"),
    ],
)
def test_what_does_not_fit_is_refused(circuit, encoding, message):
    with pytest.raises(ValueError, match=message):
        classification(circuit, small_data(), encoding=encoding)


def test_a_label_outside_the_classes_is_named():
    data = small_data()
    data.val.y[5] = 3
    with pytest.raises(ValueError, match=r"^label 3 at row 5 of val: the readout has the classes 0 to 2$"):
        classification(ansatz("line", 3), data)


@pytest.mark.parametrize(("wires", "classes"), [(4, 2), (5, 2), (4, 3), (4, 4)])
def test_each_class_has_wires_of_its_own(wires, classes):
    readout = per_class(wires, classes, 2.0)
    assert readout.classes == classes
    used = [{string for string, weight in zip(readout.strings, row, strict=True) if weight} for row in readout.weights]
    assert all(len(strings) == (wires // 2 if classes == 2 else 1) for strings in used)
    assert sum(map(len, used)) == len(set().union(*used)) == len(readout.strings)
    surely_zero = readout.logits(torch.ones(len(readout.strings), dtype=torch.float64))
    assert surely_zero.tolist() == [2.0 * len(strings) for strings in used]
    assert zero_state(1, wires).shape == (1, 2**wires)
