"""One rule chooses among every method's circuits: within the budget, then the cheapest or the most accurate."""

import itertools
from functools import cache

import pytest
import torch
from circuit_cases import draw_weights
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit

from quantum.circuits.ansatz import ansatz
from quantum.circuits.lossless import lossless
from quantum.circuits.readout import per_class
from quantum.compilation.compile import Compiled, compile_circuit, deploy
from quantum.compvqc.budget import Budget, parse
from quantum.compvqc.candidates import Candidate, SelectionRule, candidate
from quantum.devices.target import device
from quantum.interop.qiskit import to_qiskit
from quantum.tasks.classification import Classification, classification
from quantum.tasks.data import load


def make_candidate(
    twoq: int = 5, depth: int = 20, accuracy: float = 0.9, loss: float = 0.3, right: float = 0.0
) -> Candidate:
    compiled = Compiled(QuantumCircuit(2), 0, twoq, depth, depth, twoq, 1.0, 0.0, 0.0, (0, 1))
    none = torch.zeros(0, dtype=torch.float64)
    return Candidate(none, none.bool(), compiled, per_class(2, 2), (right or accuracy, -loss), accuracy, loss)


shares = st.sampled_from([0.7, 0.88, 0.89, 0.9, 0.95])
several = st.lists(
    st.builds(
        make_candidate,
        twoq=st.integers(0, 6),
        depth=st.integers(1, 30),
        accuracy=shares,
        loss=st.sampled_from([0.2, 0.3, 0.305, 0.4]),
    ),
    max_size=6,
)
BUDGETS = ("drop<=0.01", "drop<=0.05,twoq<=4", "twoq<=3", "depth<=15,twoq<=5")


@pytest.mark.parametrize("text", BUDGETS)
@given(candidates=several)
def test_the_choice_is_allowed_and_nothing_allowed_is_better(text, candidates):
    rule = SelectionRule(parse(text), make_candidate())
    allowed = [c for c in candidates if rule.allows(c)]
    best = rule.best(candidates)
    assert (best is None) == (not allowed)
    if best is not None:
        assert any(best is c for c in allowed)
        if "drop" in text:
            assert best.cost_key == min(c.cost_key for c in allowed)
        else:
            assert best.selection_score == max(c.selection_score for c in allowed)


@given(candidates=several, seed=st.randoms())
def test_the_order_of_the_candidates_does_not_matter(candidates, seed):
    shuffled = list(candidates)
    seed.shuffle(shuffled)
    for text in BUDGETS:
        rule = SelectionRule(parse(text), make_candidate())
        one, other = rule.best(candidates), rule.best(shuffled)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            key = "cost_key" if "drop" in text else "selection_score"
            assert getattr(one, key) == getattr(other, key)


@pytest.mark.parametrize(
    ("text", "what", "allowed"),
    [
        ("twoq<=5", {"twoq": 5}, True),
        ("twoq<=5", {"twoq": 6}, False),
        ("depth<=20", {"depth": 21}, False),
        ("twoq<=5", {"accuracy": 0.1, "loss": 9.0}, True),
        ("drop<=0.01", {"accuracy": 0.89}, True),
        ("drop<=0.01", {"accuracy": 0.8899}, False),
        ("drop<=0", {"accuracy": 0.9}, True),
        ("drop<=0.01", {"loss": 0.3 * 1.029}, True),
        ("drop<=0.01", {"loss": 0.3 * 1.031}, False),
        ("drop<=0.01,twoq<=5", {"twoq": 6}, False),
    ],
)
def test_what_a_budget_allows_beside_the_dense_circuit(text, what, allowed):
    assert SelectionRule(parse(text), make_candidate()).allows(make_candidate(**what)) == allowed


def test_fewer_entanglers_come_before_depth_and_depth_before_loss():
    cheaper = [
        make_candidate(1, 30, loss=0.3),
        make_candidate(2, 10, loss=0.3),
        make_candidate(2, 11, loss=0.2),
        make_candidate(2, 11, loss=0.25),
    ]
    assert all(a.cost_key < b.cost_key for a, b in itertools.pairwise(cheaper))
    assert SelectionRule(Budget(drop=0.1), make_candidate()).best(cheaper[::-1]) is cheaper[0]


# Trained weights as a candidate -----------------------------------------------------------------------------------


@cache
def iris() -> Classification:
    return classification(ansatz("seismic", 3, 1), load("iris", 0))


@pytest.mark.parametrize("where", ["nairobi", "cz,rzz,rx,rz@line:5"])
def test_a_candidate_is_what_the_device_runs_and_what_validation_says(where):
    task, target = iris(), device(where)
    weights = draw_weights(task.circuit, 3)
    weights[::2] = 0.0
    evaluated = candidate(task, target, weights, seeds=(0, 1, 2))
    short, parities = lossless(task.circuit.bind(weights.tolist()), task.readout)
    each = [compile_circuit(to_qiskit(short), target, (seed,)) for seed in (0, 1, 2)]
    assert (evaluated.compiled.twoq, evaluated.compiled.depth) == min((c.twoq, c.depth) for c in each)
    assert evaluated.readout == parities == deploy(task.circuit.bind(weights.tolist()), task.readout, target)[1]
    assert evaluated.val_accuracy == task.accuracy(weights, "val")
    assert evaluated.val_loss == float(task.cross_entropy(weights, "val"))
    assert evaluated.selection_score == task.selection_score(weights)
    assert evaluated.free.all()
    assert torch.equal(evaluated.weights, weights)


def test_the_test_part_is_not_looked_at():
    """A candidate also exists for a task without accuracy."""
    task = iris()
    blind = classification(task.circuit, load("iris", 0))
    for held in (blind.states, blind.labels):
        held.pop("test")
    weights = draw_weights(task.circuit, 3)
    assert candidate(blind, device("nairobi"), weights, seeds=(0,)).selection_score == task.selection_score(weights)
