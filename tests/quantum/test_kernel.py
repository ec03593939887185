"""The gate kernel does what Qiskit's matrices say, and its adjoint derivative is the derivative."""

import math

import numpy as np
import pytest
import torch
from circuit_cases import ARITY, GATES, bound, circuits, draw_weights, same_up_to_phase
from hypothesis import given, settings
from hypothesis import strategies as st

from quantum.circuits.ansatz import ANSAETZE, ansatz
from quantum.circuits.circuit import FIXED, Circuit, Gate
from quantum.circuits.readout import Readout
from quantum.simulation import kernel, simulate

WIRES = 3
IDENTITY = torch.eye(2**WIRES, dtype=torch.complex128)


def unitary(circuit: Circuit, weights: torch.Tensor) -> torch.Tensor:
    return kernel.evolve(circuit, weights, torch.eye(2**circuit.wires, dtype=torch.complex128))


@pytest.mark.parametrize("name", GATES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_every_gate_is_qiskits_on_any_wires(name, data):
    wires = tuple(data.draw(st.permutations(range(WIRES)))[: ARITY[name]])
    gate = Gate(name, wires) if name in FIXED else Gate(name, wires, 0.3, weight=0, scale=-0.5)
    circuit = Circuit(WIRES, (gate,))
    weights = torch.tensor([data.draw(st.floats(-9, 9))][: circuit.weights], dtype=torch.float64)
    assert same_up_to_phase(unitary(circuit, weights).numpy(), bound(circuit, weights))


@settings(max_examples=40, deadline=None)
@given(circuit=circuits(), seed=st.integers(0, 99))
def test_a_circuit_is_qiskits(circuit, seed):
    weights = draw_weights(circuit, seed)
    assert same_up_to_phase(unitary(circuit, weights).numpy(), bound(circuit, weights))


@pytest.mark.parametrize("name", ANSAETZE)
def test_an_ansatz_is_qiskits(name):
    circuit = ansatz(name)
    weights = draw_weights(circuit)
    assert same_up_to_phase(unitary(circuit, weights).numpy(), bound(circuit, weights))


@settings(max_examples=20, deadline=None)
@given(circuit=circuits(), seed=st.integers(0, 99), leading=st.sampled_from([(1,), (4,), (2, 3)]))
def test_leading_axes_are_circuits_of_their_own(circuit, seed, leading):
    weights = draw_weights(circuit, seed, *leading)
    together = kernel.evolve(circuit, weights, IDENTITY[:, :5])
    assert together.shape == (*leading, 2**WIRES, 5)
    for index in np.ndindex(*leading):
        alone = kernel.evolve(circuit, weights[index], IDENTITY[:, :5])
        torch.testing.assert_close(together[index], alone, rtol=0, atol=1e-13)


def scores(circuit: Circuit, weights: torch.Tensor, start: torch.Tensor, by: str) -> torch.Tensor:
    """A real function of the weights that sees every amplitude of every column: by the kernel, or gate by gate."""
    columns = start.shape[1]
    mask = torch.linspace(-1, 1, 2**circuit.wires * columns, dtype=torch.float64).reshape(-1, columns)
    if by == "kernel":
        out = kernel.evolve(circuit, weights, start)
    else:
        out = simulate.evolve(circuit, weights, None, start.T).transpose(-1, -2)
    return ((out.real**2 + out.imag**2) * mask).sum()


def some_columns(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(2**WIRES, 4, 2, generator=generator, dtype=torch.float64)
    return torch.view_as_complex(raw) / 4


@settings(max_examples=30, deadline=None)
@given(circuit=circuits(weights=4), seed=st.integers(0, 99), leading=st.sampled_from([(), (2,)]))
def test_the_adjoint_gradient_is_autograds_and_the_difference_quotient(circuit, seed, leading):
    weights, start = draw_weights(circuit, seed, *leading).requires_grad_(), some_columns(seed)
    if not circuit.weights:
        return
    (adjoint,) = torch.autograd.grad(scores(circuit, weights, start, "kernel"), weights)
    (taped,) = torch.autograd.grad(scores(circuit, weights, start, "gate by gate"), weights)
    torch.testing.assert_close(adjoint, taped, rtol=0, atol=1e-10)
    step = 1e-6
    for index in np.ndindex(*weights.shape):
        shift = torch.zeros_like(weights)
        shift[index] = step
        ahead, behind = (scores(circuit, (weights + sign * shift).detach(), start, "kernel") for sign in (1, -1))
        assert float(adjoint[index]) == pytest.approx(float(ahead - behind) / (2 * step), abs=1e-7)


@pytest.mark.parametrize("name", [*ANSAETZE])
def test_the_gradient_of_an_ansatz_is_autograds(name):
    circuit = ansatz(name, WIRES, 2)
    weights, start = draw_weights(circuit, 3).requires_grad_(), some_columns(1)
    grads = [torch.autograd.grad(scores(circuit, weights, start, by), weights)[0] for by in ("kernel", "gate by gate")]
    assert grads[0].abs().max() > 1e-3
    torch.testing.assert_close(*grads, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "loss",
    [
        lambda out: out.conj().real.sum(),
        lambda out: (out.conj() * torch.arange(8)[:, None]).imag.sum(),
        lambda out: out.transpose(-1, -2).abs().square()[1].sum(),
        lambda out: torch.view_as_real(out)[..., 1].sum(),
    ],
    ids=["conjugated", "imaginary", "transposed", "viewed"],
)
def test_gradients_arrive_in_any_layout(loss):
    """Autograd hands back lazily conjugated, transposed and expanded tensors; NumPy takes none of the first kind."""
    circuit = ansatz("line", WIRES, 1)
    weights = draw_weights(circuit)
    moved = weights.clone().requires_grad_()
    loss(kernel.evolve(circuit, moved, IDENTITY)).backward()
    step = 1e-6
    for k in range(len(weights)):
        shift = step * torch.nn.functional.one_hot(torch.tensor(k), len(weights))
        ahead, behind = (loss(kernel.evolve(circuit, weights + sign * shift, IDENTITY)) for sign in (1, -1))
        assert float(moved.grad[k]) == pytest.approx(float(ahead - behind) / (2 * step), abs=1e-6)


def test_nothing_that_is_given_is_changed():
    circuit = ansatz("seismic", WIRES, 1)
    weights, start = draw_weights(circuit).requires_grad_(), some_columns(0)
    slopes = some_columns(1)
    before, slopes_before = start.clone(), slopes.clone()
    out = kernel.evolve(circuit, weights, start)
    kept = out.detach().clone()
    out.backward(slopes)
    assert torch.equal(start, before)
    assert torch.equal(out, kept)
    assert torch.equal(slopes, slopes_before)


def test_states_changed_in_place_give_no_gradient():
    """The derivative walks back from them: autograd has to notice."""
    circuit = ansatz("line", WIRES, 1)
    out = kernel.evolve(circuit, draw_weights(circuit).requires_grad_(), IDENTITY)
    out.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.abs().square()[0].sum().backward()


def test_a_second_derivative_is_refused():
    """It would be wrong without a word: the first one leaves torch."""
    circuit = ansatz("line", WIRES, 1)
    weights = draw_weights(circuit).requires_grad_()
    loss = kernel.evolve(circuit, weights, IDENTITY).abs().square()[0, 1] + weights.pow(3).sum()
    (slope,) = torch.autograd.grad(loss, weights, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_the_start_may_be_lazily_conjugated():
    circuit = ansatz("line", WIRES, 1)
    start = some_columns(2)
    lazy = kernel.evolve(circuit, draw_weights(circuit), start.conj())
    assert torch.equal(lazy, kernel.evolve(circuit, draw_weights(circuit), start.conj().resolve_conj()))


def test_the_empty_circuit_is_the_identity():
    assert torch.equal(
        unitary(Circuit(2, ()), torch.zeros(0, dtype=torch.float64)), torch.eye(4, dtype=torch.complex128)
    )


def test_features_are_refused():
    circuit = Circuit(2, (Gate("crx", (1, 0), feature=3),))
    with pytest.raises(ValueError, match=r"gate 'crx' on \(1, 0\) reads feature 3: the kernel takes none"):
        unitary(circuit, torch.zeros(0, dtype=torch.float64))


# The three routes of simulate.probabilities -----------------------------------------------------------------------


def three_ways(circuit: Circuit, weights: torch.Tensor, states: torch.Tensor, patch) -> list[torch.Tensor]:
    """One matrix for all states, the states as columns, and gate by gate."""
    by_matrix = simulate.probabilities(circuit, weights, states)
    patch.setattr(simulate, "MATRIX_WIRES", 0)
    by_columns = simulate.probabilities(circuit, weights, states)
    # A feature makes the circuit one that differs from sample to sample; this one is always 0.
    reads = Circuit(circuit.wires, (Gate("rx", (0,), feature=0), *circuit.gates))
    by_gates = simulate.probabilities(reads, weights, states, torch.zeros(len(states), 1, dtype=torch.float64))
    return [by_matrix, by_columns, by_gates]


@settings(max_examples=25, deadline=None)
@given(circuit=circuits(), seed=st.integers(0, 99), leading=st.sampled_from([(), (2,)]))
def test_the_three_routes_agree(circuit, seed, leading):
    weights = draw_weights(circuit, seed, *leading).requires_grad_()
    states = some_columns(seed).T / torch.linalg.vector_norm(some_columns(seed), dim=0)[:, None]
    with pytest.MonkeyPatch.context() as patch:
        results = three_ways(circuit, weights, states, patch)
    assert results[0].shape == (*leading, *states.shape)
    torch.testing.assert_close(results[0].sum(-1), torch.ones(*leading, len(states), dtype=torch.float64))
    for other in results[1:]:
        torch.testing.assert_close(results[0], other.expand_as(results[0]), rtol=0, atol=1e-12)
    if circuit.weights:
        see = torch.arange(8, dtype=torch.float64)
        grads = [torch.autograd.grad((p * see).sum(), weights, allow_unused=True)[0] for p in results]
        for other in grads[1:]:
            torch.testing.assert_close(grads[0], other, rtol=0, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(circuit=circuits(features=2), seed=st.integers(0, 99))
def test_features_are_angles_sample_by_sample(circuit, seed):
    """Qiskit's matrix of the circuit bound to each row of the data."""
    weights = draw_weights(circuit, seed)
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    states = simulate.zero_state(3, WIRES)
    results = simulate.probabilities(circuit, weights, states, x)
    for row, probabilities in zip(x.tolist(), results, strict=False):
        fixed = Circuit(
            WIRES,
            tuple(
                gate
                if gate.feature is None
                else Gate(gate.name, gate.wires, gate.value + gate.scale * row[gate.feature])
                for gate in circuit.gates
            ),
        )
        np.testing.assert_allclose(probabilities, np.abs(bound(fixed, weights)[:, 0]) ** 2, atol=1e-10)


def test_a_missing_column_is_named():
    circuit = Circuit(2, (Gate("ry", (0,), feature=4),))
    none = torch.zeros(0, dtype=torch.float64)
    with pytest.raises(ValueError, match="the circuit reads feature 4 but the data has 2 columns"):
        simulate.probabilities(circuit, none, simulate.zero_state(3, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="the circuit reads feature 4 but the data has 0 columns"):
        simulate.probabilities(circuit, none, simulate.zero_state(3, 2))


@pytest.mark.parametrize("strings", [((0,), (1,)), ((0, 1), (2,)), ((), (0, 1, 2)), ((1,), (1,))])
def test_expectations_are_those_of_the_pauli_strings(strings):
    circuit = ansatz("seismic", WIRES, 1)
    weights = draw_weights(circuit)
    readout = Readout(strings, ((1.0,) * len(strings),) * 2)
    state = bound(circuit, weights)[:, 0]
    for string, results in zip(strings, simulate.expectations(circuit, weights, readout)[0], strict=True):
        parity = [math.prod(1 - 2 * (row >> wire & 1) for wire in string) for row in range(8)]
        assert float(results) == pytest.approx(float((np.abs(state) ** 2 * parity).sum()), abs=1e-12)
