"""PennyLane's default.qubit is the peer: same expectations and gradients, at a fraction of its time."""

import json

import pytest
import torch
from circuit_cases import draw_weights

from quantum.circuits.ansatz import ansatz
from quantum.circuits.encode import angle
from quantum.circuits.readout import per_class
from quantum.simulation.simulate import evolve, expectations, zero_state

qml = pytest.importorskip("pennylane")


def in_pennylane(circuit, readout):
    """The expectations as PennyLane computes them, with backpropagation through torch."""

    @qml.qnode(qml.device("default.qubit", wires=circuit.wires), interface="torch", diff_method="backprop")
    def node(weights, x):
        for gate in circuit.gates:
            turn = gate.value + gate.scale * (weights[gate.weight] if gate.feature is None else x[:, gate.feature])
            getattr(qml, gate.name.upper())(turn, wires=gate.wires)
        return [qml.expval(qml.prod(*map(qml.Z, string))) for string in readout.strings]

    return lambda weights, x: torch.stack(node(weights, x), dim=-1)


@pytest.mark.parametrize("route", ["matrix", "gate by gate"])
def test_expectations_and_gradients_are_pennylanes(route):
    encoder, body, readout = angle(4, 16), ansatz("seismic"), per_class(4, 4)
    weights = draw_weights(body, 5).requires_grad_()
    x = 3 * torch.rand(6, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theirs = in_pennylane(encoder + body, readout)(weights, x)
    if route == "matrix":
        states = evolve(encoder, torch.zeros(0, dtype=torch.float64), x, zero_state(len(x), 4))
        ours = expectations(body, weights, readout, states=states)
    else:
        ours = expectations(encoder + body, weights, readout, x=x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    see = torch.linspace(-1, 1, ours.numel(), dtype=torch.float64).reshape(ours.shape)
    gradients = [torch.autograd.grad((values * see).sum(), weights)[0] for values in (ours, theirs)]
    assert gradients[0].abs().max() > 0.01
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_a_training_step_takes_a_fifth_of_pennylanes_time(python, tmp_path):
    """The benchmark's own figures, from a run of its quick part."""
    done = python("-m", "benchmarks.training_speed", "--quick", "--json", "speed.json", "--out", "rows")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "speed.json").read_text())["figures"]
    assert figures["training_speedup_vs_pennylane"]["value"] >= 5
    assert figures["max_abs_gradient_difference"]["value"] <= 1e-6
