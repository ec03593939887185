"""Noise-aware fine-tuning: the right derivative, the same costs, and never worse where it counts."""

import math
from functools import cache

import numpy as np
import pytest
import torch

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit, Gate
from quantum.compilation.compile import count
from quantum.devices.target import device
from quantum.noise.energy import energy_workload
from quantum.noise.tuning import NoiseAware, Tunable, set_angles
from quantum.noise.workload import Workload, classifier, on_part, state_workload
from quantum.tasks.classification import LOGIT_SCALE
from quantum.tasks.data import Part
from quantum.tasks.energy import maxcut, tfim


def samples(count: int, seed: int, columns: int = 4) -> Part:
    rng = np.random.default_rng(seed)
    return Part(torch.tensor(rng.uniform(0, math.pi, (count, columns))), torch.tensor(rng.integers(0, 4, count)))


@cache
def workload(target: str = "nairobi", encoding: str = "auto", seed: int = 0) -> Workload:
    circuit = ansatz("line", layers=1)
    body = circuit.bind(np.random.default_rng(seed).uniform(-3, 3, circuit.weights))
    part = samples(6, seed, 16 if encoding == "amplitude" else 4)
    return classifier("line", body, part, 4, device(target), encoding=encoding, seeds=(0,))


@pytest.mark.parametrize("target", ["nairobi", "torino", "cz,rzz,rx,rz,sx,x@line:4"])
@pytest.mark.parametrize("scale", [0.0, 2.0])
def test_the_derivative_is_that_of_finite_differences(target, scale):
    tunable = Tunable(workload(target), scale)
    angles = tunable.angles.clone().requires_grad_()
    tunable.loss(angles).backward()
    step = 1e-5
    for k in range(0, len(angles), 9):
        moved = torch.zeros_like(tunable.angles)
        moved[k] = step
        with torch.no_grad():
            slope = (tunable.loss(tunable.angles + moved) - tunable.loss(tunable.angles - moved)) / (2 * step)
        assert float(angles.grad[k]) == pytest.approx(float(slope), abs=1e-7)


@pytest.mark.parametrize("encoding", ["angle", "amplitude"])
def test_what_is_trained_is_the_circuit_that_comes_out(encoding):
    """Moved angles by the derivative's way, and as numbers in a Qiskit circuit, give the same expectations."""
    case = workload(encoding=encoding)
    tunable = Tunable(case)
    torch.testing.assert_close(tunable.expectations(tunable.angles), case.expectations(), rtol=0, atol=1e-12)
    moved = tunable.angles + torch.linspace(-1, 1, len(tunable.angles), dtype=torch.float64)
    tuned = set_angles(case, moved)
    torch.testing.assert_close(tunable.expectations(moved), tuned.expectations(), rtol=0, atol=1e-12)
    torch.testing.assert_close(Tunable(tuned).angles, moved)
    assert float((tuned.expectations() - case.expectations()).abs().max()) > 0.1


def test_the_costs_stay():
    case = workload()
    angles = Tunable(case).angles + 0.3
    before, after = (count(each.settings[0].compiled.circuit, case.device) for each in (case, set_angles(case, angles)))
    for figure in ("twoq", "depth", "depth_no_rz", "twoq_depth", "esp", "cost", "duration_ns", "measured"):
        assert getattr(before, figure) == getattr(after, figure)


def test_angles_of_data_and_bounded_angles_stay():
    """The fractional line runs RZZ up to pi/2 only, so that training could leave what it can do."""
    case = workload("cz,rzz,rx,rz,sx,x@line:4")
    before = case.settings[0].compiled.circuit
    after = set_angles(case, Tunable(case).angles + 1.0).settings[0].compiled.circuit
    kinds = set()
    for old, new in zip(before.data, after.data, strict=True):
        if old.params:
            fixed = old.name == "rzz" or any(getattr(angle, "parameters", ()) for angle in old.params)
            kinds.add((old.name == "rzz", fixed))
            assert (old.params == new.params) == fixed
    assert kinds == {(True, True), (False, True), (False, False)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [0.02, 1.5])
def test_validation_is_never_worse_under_noise(seed, rate):
    """Not even where the training diverges."""
    case = workload(seed=seed)
    val, how = on_part(case, samples(12, 10 + seed)), NoiseAware(2.0, rounds=2, steps=2, rate=rate)
    tuned = set_angles(val, how.tune(on_part(case, samples(12, 20 + seed)), val))
    before, after = (each.score.value(each.expectations(2.0)) for each in (val, tuned))
    assert after >= before
    assert Tunable(tuned, 2.0).selection_score(Tunable(tuned).angles) >= Tunable(val, 2.0).selection_score(
        Tunable(val).angles
    )


def test_training_lowers_the_noisy_loss():
    case = workload()
    angles = NoiseAware(1.0, rounds=2, steps=20).tune(case, case)
    assert float(Tunable(case).loss(angles)) < float(Tunable(case).loss(Tunable(case).angles)) - 0.05


def test_the_loss_is_cross_entropy_of_the_noisy_scores():
    case = workload()
    values = case.expectations(1.0)
    logits = LOGIT_SCALE * values[:, :4]  # one plain Z per class
    picked = torch.log_softmax(logits, -1)[torch.arange(6), case.score.labels]
    assert case.settings[0].readout.strings == ((0,), (1,), (2,), (3,))
    assert float(Tunable(case).loss(Tunable(case).angles)) == pytest.approx(-float(picked.mean()))


def test_an_energy_measured_in_one_basis_is_tuned_too():
    problem = maxcut(3, ((0, 1), (1, 2), (2, 0)))
    body = Circuit(3, (*(Gate("ry", (k,), value=0.3 + k) for k in range(3)), Gate("cx", (0, 1))))
    case = energy_workload("cut", body, problem, device("nairobi"), seeds=(0,))
    tuned = set_angles(case, NoiseAware(rounds=2, steps=20).tune(case, case))
    assert tuned.score.value(tuned.expectations()) < case.score.value(case.expectations()) - 0.1


def test_what_cannot_be_tuned(monkeypatch):
    plain = state_workload("plain", Circuit(2, (Gate("ry", (0,), value=0.3),)), device("nairobi"), seeds=(0,))
    with pytest.raises(ValueError, match="plain has no task to train its angles for: name data with labels"):
        Tunable(plain)
    with pytest.raises(ValueError, match="plain classifies no data: only a classifier can be evaluated on"):
        on_part(plain, samples(3, 0))
    chain = energy_workload("chain", Circuit(2, (Gate("ry", (0,), value=0.3),)), tfim(2), device("nairobi"), seeds=(0,))
    with pytest.raises(ValueError, match="chain is measured in 2 bases, whose compiled circuits share no angles"):
        Tunable(chain)
    monkeypatch.setattr("quantum.noise.attribution.EXACT_NUMBERS", 16)
    with pytest.raises(ValueError, match="line is too wide for the exact engine, which training needs"):
        Tunable(workload())
