"""How long one training step of a classifier takes here, and in PennyLane with backpropagation.

The same step of Adam on the whole training part of digits 0-3, at the same weights, one thread each, in double
precision. PennyLane (`default.qubit`, `diff_method="backprop"`, torch) gets three chances, each with the batch as one
broadcast dimension, and the fastest counts:

- `features`: the data encoded by gates inside the QNode, as one writes it;
- `states`: the data encoded beforehand, as our classifier does;
- `matrix`: the circuit applied to the basis states alone and multiplied with the encoded data, our own trick.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pennylane as qml
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from quantum.circuits.ansatz import ansatz
from quantum.circuits.circuit import Circuit
from quantum.circuits.encode import angle
from quantum.compvqc.baselines import random_starts
from quantum.tasks.classification import Classification, classification
from quantum.tasks.data import load
from shared.lab import JSON, Context, Experiment, Page, Row, Settings, Table, cite
from shared.lab.running.benchmark import Metric, main

Loss = Callable[[Tensor], Tensor]
OURS = "ours"
PENNYLANE = ("features", "states", "matrix")


class SpeedSettings(Settings):
    """What is trained, and how often a step is timed."""

    task: str = Field(default="digits4", description="data to classify")
    ansatz: str = Field(default="seismic", description="circuit to train, of rotations and controlled rotations")
    rounds: int = Field(default=20, ge=3, description="times each contender is timed, in turn")
    steps_ours: int = Field(default=40, gt=0, description="our training steps between two readings of the clock")
    steps_theirs: int = Field(default=2, gt=0, description="PennyLane's training steps between two readings")


class TrainingSpeed(Experiment[SpeedSettings]):
    """One training step of a quantum classifier, ours beside PennyLane's backpropagation."""

    name = "training_speed"
    version = 1

    def run(self, cell: SpeedSettings, context: Context) -> Mapping[str, JSON]:
        circuit = ansatz(cell.ansatz)
        task = classification(circuit, load(cell.task, cell.seed))
        losses = {OURS: lambda weights: task.cross_entropy(weights, "train"), **pennylane_losses(task, cell)}
        start = random_starts(task, 1, context.generator())[0]
        gradients = {name: gradient(loss, start) for name, loss in losses.items()}
        steps = {name: adam_step(loss, start) for name, loss in losses.items()}
        cpu_ms: dict[str, list[float]] = {name: [] for name in losses}
        for done in range(cell.rounds):
            for name, step in steps.items():
                cpu_ms[name].append(timed_ms(step, cell.steps_ours if name == OURS else cell.steps_theirs))
            context.progress(done + 1, cell.rounds, "timing")
        apart = max(float((gradients[OURS] - other).abs().max()) for other in gradients.values())
        return {
            "weights": circuit.weights,
            "samples": len(task.labels["train"]),
            "cpu_ms": cpu_ms,
            "max_abs_gradient_difference": apart,
        }

    def page(self, rows: Sequence[Row]) -> Page:
        lines = []
        for row in rows:
            times = {name: statistics.median(values) for name, values in row.result["cpu_ms"].items()}
            lines.append(
                (
                    row.settings["task"],
                    row.settings["ansatz"],
                    cite(row.seed, row),
                    *(cite(times[name], row, form=".3g", unit="ms") for name in (OURS, *PENNYLANE)),
                    cite(statistics.median(ratios(row)), row, form=".3g"),
                    cite(row.result["max_abs_gradient_difference"], row, form=".1e"),
                )
            )
        columns = ("task", "ansatz", "seed", OURS, *PENNYLANE, "ratio", "gradient")
        note = (
            "Median CPU time of a step on one thread: ours, and PennyLane's with the data encoded inside the QNode "
            "(features), beforehand (states), or multiplied with the circuit's matrix (matrix). ratio: the fastest of "
            "the three over ours. gradient: the largest difference of an entry."
        )
        return Page("Training speed", self.summary, (Table("One training step", columns, lines, note=note),))


def pennylane_losses(task: Classification, cell: SpeedSettings) -> dict[str, Loss]:
    """The task's training loss as PennyLane evaluates it, by each of the three ways."""
    circuit, readout, labels = task.circuit, task.readout, task.labels["train"]
    data, states = load(cell.task, cell.seed).train.x, task.states["train"]
    wires = circuit.wires
    basis = torch.eye(2**wires, dtype=torch.complex128)
    parities = readout.parities(wires)
    device = qml.device("default.qubit", wires=wires)

    def node(body: Callable[..., object]) -> Callable[..., object]:
        return qml.QNode(body, device, interface="torch", diff_method="backprop")

    def measured() -> list[object]:
        return [qml.expval(qml.prod(*map(qml.Z, string))) for string in readout.strings]

    @node
    def encoded(weights: Tensor, x: Tensor) -> object:
        apply(angle(wires, x.shape[1]), weights, x)
        apply(circuit, weights)
        return measured()

    @node
    def prepared(weights: Tensor, states: Tensor) -> object:
        qml.StatePrep(states, wires=range(wires)[::-1])  # its first wire is the highest bit
        apply(circuit, weights)
        return measured()

    @node
    def columns(weights: Tensor) -> object:
        qml.StatePrep(basis, wires=range(wires)[::-1])
        apply(circuit, weights)
        # The device's own order of wires, 0 the highest bit; the data's has it as the lowest.
        return qml.state()

    def by_matrix(weights: Tensor) -> Tensor:
        out = states @ columns(weights)[:, reversed_bits(wires)]
        return (out.real**2 + out.imag**2) @ parities.T

    def loss(values: Loss) -> Loss:
        return lambda weights: cross_entropy(readout.logits(values(weights)), labels)

    return {
        "features": loss(lambda weights: torch.stack(encoded(weights, data), -1)),
        "states": loss(lambda weights: torch.stack(prepared(weights, states), -1)),
        "matrix": loss(by_matrix),
    }


def apply(circuit: Circuit, weights: Tensor, x: Tensor | None = None) -> None:
    """Queues the gates in PennyLane: of RX, RY, RZ, CRX, CRY and CRZ the names are the same, in capitals."""
    for gate in circuit.gates:
        angle = gate.value + gate.scale * (weights[gate.weight] if gate.feature is None else x[:, gate.feature])
        getattr(qml, gate.name.upper())(angle, wires=gate.wires)


def reversed_bits(wires: int) -> list[int]:
    """Where each basis state stands when the wires are counted from the other end."""
    return [int(f"{state:0{wires}b}"[::-1], 2) for state in range(2**wires)]


def gradient(loss: Loss, at: Tensor) -> Tensor:
    weights = at.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(weights), weights)
    return slope


def adam_step(loss: Loss, start: Tensor) -> Callable[[], None]:
    """One step of training, to be called again and again."""
    weights = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([weights], lr=0.05)

    def step() -> None:
        optimiser.zero_grad()
        loss(weights).backward()
        optimiser.step()

    step()  # compiles what is compiled, outside the clock
    return step


def timed_ms(step: Callable[[], None], times: int) -> float:
    """CPU time of one step in milliseconds: wall time would measure whoever shares the machine."""
    start = time.process_time()
    for _ in range(times):
        step()
    return 1e3 * (time.process_time() - start) / times


def ratios(row: Row) -> list[float]:
    """PennyLane's fastest way over ours, round by round: neighbours in time saw the same machine."""
    times = row.result["cpu_ms"]
    fastest = min(PENNYLANE, key=lambda name: statistics.median(times[name]))
    return [theirs / ours for theirs, ours in zip(times[fastest], times[OURS], strict=True)]


def cells(quick: bool, seed: int) -> list[SpeedSettings]:
    if quick:
        return [SpeedSettings(seed=seed, rounds=9)]
    return [SpeedSettings(seed=seed + k, ansatz=name) for name in ("seismic", "u3cu3") for k in range(3)]


def figures(rows: Sequence[Row]) -> dict[str, Metric]:
    measured = [ratio for row in rows for ratio in ratios(row)]
    low, high = np.quantile(measured, [0.025, 0.975])
    apart = max(row.result["max_abs_gradient_difference"] for row in rows)
    return {
        "training_speedup_vs_pennylane": Metric(
            statistics.median(measured), float(low), float(high), "x CPU time", ">= 5"
        ),
        "max_abs_gradient_difference": Metric(apart, unit="nats per radian", goal="<= 1e-6"),
    }


if __name__ == "__main__":
    main(TrainingSpeed(), cells, figures)
