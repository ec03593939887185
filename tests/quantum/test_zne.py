"""Zero-noise extrapolation: the same circuit, longer; the same shots, shared; extrapolations in closed form."""

from functools import cache

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Measure
from qiskit.circuit.library import XGate
from qiskit.transpiler import InstructionProperties, Target

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit, Gate
from quantum.circuits.readout import Readout
from quantum.compilation.compile import count
from quantum.devices.target import Device, device
from quantum.noise.workload import MeanZ, MeasurementSetting, Workload, classifier, state_workload
from quantum.noise.zne import ZNE, fold
from quantum.tasks.data import Part


@cache
def workload(target: str = "nairobi", encoding: str = "angle") -> Workload:
    rng = np.random.default_rng(0)
    circuit = ansatz("line", layers=1)
    part = Part(torch.tensor(rng.uniform(0, np.pi, (6, 8))), torch.tensor(rng.integers(0, 4, 6)))
    body = circuit.bind(rng.uniform(-3, 3, circuit.weights))
    return classifier("c", body, part, 4, device(target), seeds=(0,), encoding=encoding)


@pytest.mark.parametrize("target", ["nairobi", "torino", "sherbrooke", "cz,rzz,rx,rz,x@line:5", "rxx,rx,ry,rz@full:4"])
def test_a_folded_circuit_computes_the_same(target):
    ideal = workload(target).expectations(0.0)
    for each in ZNE((1.0, 2.2, 3.0)).folded(workload(target)):
        torch.testing.assert_close(each.expectations(0.0), ideal, rtol=0, atol=1e-10)


def test_states_find_their_qubits_after_folding():
    case = workload(encoding="amplitude")
    for each in ZNE().folded(case):
        torch.testing.assert_close(each.expectations(0.0), case.expectations(0.0), rtol=0, atol=1e-10)


def test_a_longer_circuit_has_more_noise():
    case = workload()
    ideal = case.expectations(0.0)
    shifts = [float((each.expectations() - ideal).abs().mean()) for each in ZNE().folded(case)]
    assert shifts == sorted(shifts)
    once, threefold = (len(each.settings[0].compiled.circuit) for each in ZNE((1.0, 3.0)).folded(case))
    twoq = [each.settings[0].compiled.circuit.num_nonlocal_gates() for each in ZNE((1.0, 3.0)).folded(case)]
    assert twoq[1] == 3 * twoq[0]
    assert threefold > 2.5 * once


def test_a_folded_list_of_gates():
    forward, back = [(0, False), (1, False), (2, False)], [(2, True), (1, True), (0, True)]
    assert fold(3, 1.0) == forward
    assert fold(3, 3.0) == forward + back + forward
    assert fold(3, 5.0) == forward + (back + forward) * 2
    assert fold(3, 1.7) == forward + back[:1] + forward[2:]  # the last gate is nearest to 2.1 more
    for gates, factor in ((40, 1.3), (40, 2.0), (7, 4.2), (100, 6.99)):
        folded = fold(gates, factor)
        assert abs(len(folded) - factor * gates) <= 1
        product = [1.0] * gates  # a gate and its inverse cancel wherever they meet
        for index, inverted in folded:
            product[index] *= 0.5 if inverted else 2.0
        assert product == [2.0] * gates


def test_extrapolations_are_exact_on_what_they_fit():
    """Richardson's through n points is exact for polynomials below degree n, the linear one for lines."""
    rng = np.random.default_rng(0)
    for factors in ((1.0, 3.0, 5.0), (1.0, 1.5, 2.0, 4.0)):
        points = np.array(factors)
        polynomial = rng.normal(size=len(factors))
        values = np.polynomial.polynomial.polyval(points, polynomial)
        assert ZNE(factors).weights.numpy() @ values == pytest.approx(polynomial[0])
        line = rng.normal(size=2)
        values = line[0] + line[1] * points
        assert ZNE(factors, "linear").weights.numpy() @ values == pytest.approx(line[0])
        noisy = values + rng.normal(size=len(factors))
        assert ZNE(factors, "linear").weights.numpy() @ noisy == pytest.approx(np.polyfit(points, noisy, 1)[1])


def test_the_weights_are_the_published_ones():
    """Giurgica-Tiron et al. 2020: Richardson's weights of 1, 3, 5 are 15/8, -10/8, 3/8."""
    np.testing.assert_allclose(ZNE().weights, [15 / 8, -10 / 8, 3 / 8])
    np.testing.assert_allclose(ZNE((1.0, 2.0, 3.0)).weights, [3, -3, 1])


def test_a_decay_is_extrapolated_as_its_closed_form():
    """One qubit whose every gate depolarizes: `<Z>` falls by one factor with each gate."""
    error, gates = 0.01, 10
    target = Target(num_qubits=1)
    target.add_instruction(XGate(), {(0,): InstructionProperties(error=error)})
    target.add_instruction(Measure(), {(0,): InstructionProperties()})
    circuit = QuantumCircuit(1)
    for _ in range(gates):
        circuit.x(0)
    one = Device("depolarizing", "depolarizing", target)
    readout = Readout(((0,),), ((1.0,),))
    case = Workload("x", one, (MeasurementSetting(count(circuit, one), readout),), MeanZ(readout))
    kept = 1 - 2 * error  # an average gate error r of one qubit shrinks Z by 1 - 2 r
    zne = ZNE()
    for factor, each in zip(zne.factors, zne.folded(case), strict=True):
        assert float(each.expectations()) == pytest.approx(kept ** (gates * factor), abs=1e-12)
    expected = sum(w * kept ** (gates * f) for w, f in zip(zne.weights.tolist(), zne.factors, strict=True))
    assert float(zne.expectations(case)) == pytest.approx(expected, abs=1e-12)
    assert abs(expected - 1) < abs(kept**gates - 1) / 10


@pytest.mark.parametrize("inference", ["richardson", "linear"])
def test_each_value_is_extrapolated_by_the_weights(inference):
    zne = ZNE(inference=inference)
    values = torch.stack([each.expectations() for each in zne.folded(workload())], dim=-1)
    torch.testing.assert_close(zne.expectations(workload()), values @ zne.weights)
    assert float(zne.weights.sum()) == pytest.approx(1.0)


def test_it_takes_most_of_a_small_noise_away():
    case = workload()
    ideal = case.expectations(0.0)
    plain = (case.expectations(0.2) - ideal).abs().mean()
    assert (ZNE().expectations(case, 0.2) - ideal).abs().mean() < 0.5 * plain


def test_shots_are_shared_and_drawn_from_the_generator():
    first, again = (ZNE().scores(workload(), 300, 3, np.random.default_rng(1)) for _ in range(2))
    assert first == again
    exact = workload().score.value(ZNE().expectations(workload()))
    assert ZNE().scores(workload(), 3 * 10**8, 1, np.random.default_rng(0)) == [exact]
    with pytest.raises(ValueError, match="shots=2: at least 3 are needed, one for each factor"):
        ZNE().scores(workload(), 2, 1, np.random.default_rng(0))


def test_a_gate_without_an_inverse_on_the_device():
    case = state_workload("c", Circuit(2, (Gate("iswap", (0, 1)),)), device("iswap,rz,sx@line:2"), simplify=False)
    with pytest.raises(ValueError, match=r"the inverse of 'iswap' is not one of .*'s gates"):
        ZNE().folded(case)


def test_bad_settings():
    with pytest.raises(ValueError, match=r"factors=\(1.0,\): an extrapolation needs at least two different factors"):
        ZNE((1.0,))
    with pytest.raises(ValueError, match=r"factors=\(1.0, 3.0, 3.0\): .* none twice"):
        ZNE((1.0, 3.0, 3.0))
    with pytest.raises(ValueError, match=r"factors=\(0.5, 3.0\): .* each at least 1"):
        ZNE((0.5, 3.0))
    with pytest.raises(ValueError, match="inference 'exp' is unknown: use one of richardson, linear"):
        ZNE(inference="exp")
