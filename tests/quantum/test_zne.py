"""Zero-noise extrapolation: the same circuit, longer; the same shots, shared; mitiq's own numbers."""

import sys
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit, Gate
from quantum.devices.target import device
from quantum.noise.workload import Workload, classifier, state_workload
from quantum.noise.zne import ZNE, fold
from quantum.tasks.data import Part

needs_mitiq = pytest.mark.skipif(find_spec("mitiq") is None, reason="mitiq is not installed")


@cache
def workload(target: str = "nairobi", encoding: str = "angle") -> Workload:
    rng = np.random.default_rng(0)
    circuit = ansatz("line", layers=1)
    part = Part(torch.tensor(rng.uniform(0, np.pi, (6, 8))), torch.tensor(rng.integers(0, 4, 6)))
    body = circuit.bind(rng.uniform(-3, 3, circuit.weights))
    return classifier("c", body, part, 4, device(target), seeds=(0,), encoding=encoding)


@needs_mitiq
@pytest.mark.parametrize("target", ["nairobi", "torino", "sherbrooke", "cz,rzz,rx,rz,x@line:5", "rxx,rx,ry,rz@full:4"])
def test_a_folded_circuit_computes_the_same(target):
    ideal = workload(target).expectations(0.0)
    for each in ZNE((1.0, 2.2, 3.0)).folded(workload(target)):
        torch.testing.assert_close(each.expectations(0.0), ideal, rtol=0, atol=1e-10)


@needs_mitiq
def test_states_find_their_qubits_after_folding():
    case = workload(encoding="amplitude")
    for each in ZNE().folded(case):
        torch.testing.assert_close(each.expectations(0.0), case.expectations(0.0), rtol=0, atol=1e-10)


@needs_mitiq
def test_a_longer_circuit_has_more_noise():
    case = workload()
    ideal = case.expectations(0.0)
    shifts = [float((each.expectations() - ideal).abs().mean()) for each in ZNE().folded(case)]
    assert shifts == sorted(shifts)
    once, threefold = (len(each.settings[0].compiled.circuit) for each in ZNE((1.0, 3.0)).folded(case))
    twoq = [each.settings[0].compiled.circuit.num_nonlocal_gates() for each in ZNE((1.0, 3.0)).folded(case)]
    assert twoq[1] == 3 * twoq[0]
    assert threefold > 2.5 * once


@needs_mitiq
def test_folding_is_mitiqs():
    places = [(0,), (0, 1), (1,)]
    forward, back = [(0, False), (1, False), (2, False)], [(2, True), (1, True), (0, True)]
    assert fold(places, 1.0) == forward
    assert fold(places, 3.0) == forward + back + forward
    assert fold(places, 5.0) == forward + (back + forward) * 2


@needs_mitiq
@pytest.mark.parametrize("inference", ["richardson", "linear"])
def test_each_value_is_what_mitiq_extrapolates(inference):
    from mitiq.zne.inference import LinearFactory, RichardsonFactory

    method = {"richardson": RichardsonFactory, "linear": LinearFactory}[inference]
    zne = ZNE(inference=inference)
    values = torch.stack([each.expectations() for each in zne.folded(workload())], dim=-1)
    extrapolated = zne.expectations(workload())
    for row, column in ((0, 0), (2, 1), (5, 3)):
        expected = method.extrapolate(list(zne.factors), values[row, column].tolist())
        assert float(extrapolated[row, column]) == pytest.approx(expected, abs=1e-10)
    assert float(zne.weights.sum()) == pytest.approx(1.0)


@needs_mitiq
def test_it_takes_most_of_a_small_noise_away():
    case = workload()
    ideal = case.expectations(0.0)
    plain = (case.expectations(0.2) - ideal).abs().mean()
    assert (ZNE().expectations(case, 0.2) - ideal).abs().mean() < 0.5 * plain


@needs_mitiq
def test_shots_are_shared_and_drawn_from_the_generator():
    first, again = (ZNE().scores(workload(), 300, 3, np.random.default_rng(1)) for _ in range(2))
    assert first == again
    exact = workload().score.value(ZNE().expectations(workload()))
    assert ZNE().scores(workload(), 3 * 10**8, 1, np.random.default_rng(0)) == [exact]
    with pytest.raises(ValueError, match="shots=2: at least 3 are needed, one for each factor"):
        ZNE().scores(workload(), 2, 1, np.random.default_rng(0))


@needs_mitiq
def test_a_gate_without_an_inverse_on_the_device():
    case = state_workload("c", Circuit(2, (Gate("iswap", (0, 1)),)), device("iswap,rz,sx@line:2"), simplify=False)
    with pytest.raises(ValueError, match=r"the inverse of 'iswap' is not one of .*'s gates"):
        ZNE().folded(case)


def test_without_mitiq_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mitiq", None)
    with pytest.raises(ModuleNotFoundError, match=r"zne needs mitiq: pip install --no-deps mitiq==1\.1\.0"):
        ZNE().expectations(workload())


def test_bad_settings():
    with pytest.raises(ValueError, match=r"factors=\(1.0,\): an extrapolation needs at least two different factors"):
        ZNE((1.0,))
    with pytest.raises(ValueError, match=r"factors=\(0.5, 3.0\): .* each at least 1"):
        ZNE((0.5, 3.0))
    with pytest.raises(ValueError, match="inference 'exp' is unknown: use one of richardson, linear"):
        ZNE(inference="exp")
