"""Tasks with an energy: the right Hamiltonians, the same energy on every way, and the compressor that takes them."""

import math

import numpy as np
import pytest
import torch
from qiskit.quantum_info import SparsePauliOp, Statevector

from quantum.circuits.ansatz import ansatz, efficient_su2
from quantum.circuits.circuit import Circuit, Gate
from quantum.compvqc.baselines import random_starts
from quantum.compvqc.budget import parse
from quantum.compvqc.search import CompVQC
from quantum.devices.target import device
from quantum.interop.qiskit import to_qiskit
from quantum.noise.attribution import attribution
from quantum.noise.energy import energy_workload
from quantum.noise.robustness import curve, robustness
from quantum.tasks.energy import (
    HAMILTONIANS,
    Energy,
    Hamiltonian,
    energy_task,
    h2,
    hamiltonian,
    maxcut,
    qaoa,
    tfim,
)
from quantum.tasks.training import Training
from shared.core.testing import check_task


def as_qiskit(problem: Hamiltonian) -> SparsePauliOp:
    return SparsePauliOp([term[::-1] for term, _ in problem.terms], [c for _, c in problem.terms])


def random_weights(circuit: Circuit, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).uniform(-3, 3, circuit.weights))


@pytest.mark.parametrize("name", HAMILTONIANS)
def test_the_matrix_is_qiskits(name):
    problem = hamiltonian(name)
    np.testing.assert_allclose(problem.matrix, as_qiskit(problem).to_matrix(), atol=1e-14)


@pytest.mark.parametrize("wires", [2, 4, 6])
def test_the_ising_chain_has_the_energy_of_free_fermions(wires):
    """Open chain at h = J: `1 - 1/sin(pi / (2 (2 n + 1)))` (Pfeuty 1970)."""
    assert tfim(wires).range[0] == pytest.approx(1 - 1 / math.sin(math.pi / (2 * (2 * wires + 1))))


def test_hydrogen_is_pennylanes():
    qml = pytest.importorskip("pennylane")
    symbols, places = ["H", "H"], np.array([0.0, 0.0, -0.66140414, 0.0, 0.0, 0.66140414])
    molecule = qml.qchem.Molecule(symbols, places.reshape(2, 3))
    theirs, _ = qml.qchem.molecular_hamiltonian(molecule)
    energies = np.linalg.eigvalsh(qml.matrix(theirs, wire_order=range(4)))
    np.testing.assert_allclose(torch.linalg.eigvalsh(h2().matrix), energies, atol=1e-6)


def test_max_cut_counts_the_edges():
    problem = maxcut(3, ((0, 1), (1, 2), (2, 0)))
    assert problem.range == (-2.0, 0.0)
    assert problem.matrix.diagonal().real.tolist() == [0, -2, -2, -2, -2, -2, -2, 0]


@pytest.mark.parametrize("name", ["tfim4", "h2", "maxcut6"])
def test_every_way_gives_the_same_energy(name):
    """Qiskit's state, our kernel, the circuits that are measured on a device, and the frame behind the Hadamards."""
    problem = hamiltonian(name)
    body = qaoa(problem) if name == "maxcut6" else ansatz("line", problem.wires, 1)
    weights = random_weights(body)
    expected = Statevector(to_qiskit(body, weights.tolist())).expectation_value(as_qiskit(problem)).real
    task = energy_task(body, problem)
    assert float(task.energy(weights)) == pytest.approx(expected, abs=1e-10)
    assert float(task.objective(weights, "val")) == pytest.approx(expected - problem.range[0], abs=1e-9)
    for simplify in (True, False):
        case = energy_workload(name, task.state(weights), problem, device("nairobi"), seeds=(0,), simplify=simplify)
        assert case.score.value(case.expectations(0.0)) == pytest.approx(expected, abs=1e-9)


def test_terms_with_an_odd_number_of_y():
    """A Hadamard turns Y into -Y."""
    problem = Hamiltonian("odd", (("YX", 0.7), ("IY", -0.4), ("ZZ", 0.2), ("II", 0.1)))
    body = ansatz("line", 2, 2)
    weights = random_weights(body)
    expected = Statevector(to_qiskit(body, weights.tolist())).expectation_value(as_qiskit(problem)).real
    assert float(energy_task(body, problem).energy(weights)) == pytest.approx(expected, abs=1e-10)


def test_fixed_weights_stay_where_they_are_fixed():
    task = energy_task(ansatz("line", 4, 1), tfim(4), Training(steps=5))
    fixed, starts = (
        random_weights(task.circuit, 1),
        torch.stack([random_weights(task.circuit, 2), random_weights(task.circuit, 3)]),
    )
    free = torch.arange(len(fixed)) % 2 == 0
    trained = task.retrain(fixed, free, starts)
    assert torch.equal(trained[:, ~free], fixed[~free].expand(2, -1))
    assert not torch.isclose(trained[:, free], starts[:, free]).all()


def test_every_term_is_measured_once_in_a_basis_that_shows_it():
    for name in HAMILTONIANS:
        problem = hamiltonian(name)
        members = [k for basis in problem.bases().values() for k in basis]
        assert sorted(members) == [k for k, (term, _) in enumerate(problem.terms) if set(term) != {"I"}]
        for axes, basis in problem.bases().items():
            for k in basis:
                assert all(a in ("I", b) for a, b in zip(problem.terms[k][0], axes, strict=True))


@pytest.mark.parametrize("name", ["tfim4", "maxcut6"])
def test_it_is_a_task(name):
    problem = hamiltonian(name)
    body = qaoa(problem, 1) if name == "maxcut6" else ansatz("line", 4, 1)
    task = energy_task(body, problem, Training(inner_steps=5, steps=10))
    check_task(task, random_weights(task.circuit)[:, None])


def test_training_finds_the_ground_state():
    problem = tfim(4)
    task = energy_task(ansatz("line", 4, 2), problem, Training(steps=300))
    starts = random_starts(task, 4, torch.Generator().manual_seed(0))
    best = min(float(task.objective(w, "train").detach()) for w in task.train(starts))
    assert best < 0.02


def test_the_compressor_takes_it_and_the_report_too():
    problem = tfim(4)
    task = energy_task(ansatz("line", 4, 2), problem, Training(steps=100))
    generator = torch.Generator().manual_seed(0)
    starts = task.train(random_starts(task, 1, generator))
    how = CompVQC(polish=1, moves=2, restarts=1)
    compression = how.compress(task, device("nairobi"), parse("twoq<=6"), starts, generator)
    assert compression.best.compiled.twoq <= 6
    grown = getattr(compression, "task", task)
    assert isinstance(grown, Energy)
    case = energy_workload("compressed", grown.state(compression.best.weights), problem, device("nairobi"), seeds=(0,))
    value = case.score.value(case.expectations(0.0))
    assert value == pytest.approx(float(grown.energy(compression.best.weights)), abs=1e-8)
    report = robustness(case, np.random.default_rng(0), repeats=2)
    assert (report["unit"], report["total"]) == ("energy", None)
    assert report["scales"][0]["score"] == pytest.approx(value)
    energies = [point["score"] for point in report["scales"]]
    assert energies == sorted(energies)


def test_noise_and_its_sources_over_several_bases():
    body = efficient_su2(4, 1)
    case = energy_workload("su2", body.bind(random_weights(body).tolist()), h2(), device("nairobi"), seeds=(0,))
    assert len(case.settings) == 5
    report = attribution(case)
    assert report["shift"] == pytest.approx(curve(case, [1.0])[0]["shift"])
    assert {gate["setting"] for gate in report["gates"]} == set(range(5))


def test_bad_energies():
    with pytest.raises(ValueError, match="energy 'tfim5' is unknown: use one of tfim4, tfim6"):
        hamiltonian("tfim5")
    with pytest.raises(ValueError, match="term 'XA': a term of bad is 2 letters of I, X, Y and Z"):
        Hamiltonian("bad", (("XX", 1.0), ("XA", 1.0)))
    with pytest.raises(ValueError, match="the coefficient of ZZ is nan: coefficients are finite"):
        Hamiltonian("bad", (("ZZ", math.nan),))
    with pytest.raises(ValueError, match="tfim4 is on 4 wires: the ansatz has 3 and reads 0 features"):
        energy_task(ansatz("line", 3), tfim(4))
    with pytest.raises(ValueError, match="tfim4 has terms other than Z and ZZ: QAOA needs a diagonal cost of pairs"):
        qaoa(tfim(4))
    with pytest.raises(ValueError, match="c has 4 wires, 1 weights and 0 features: tfim4 needs a bound circuit on 4"):
        energy_workload("c", Circuit(4, (Gate("rx", (0,), weight=0),)), tfim(4), device("nairobi"))
