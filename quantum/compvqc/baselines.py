"""Baselines for compression: small circuits trained from scratch, and magnitude pruning."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from quantum.circuits.ansatz import line_cx
from quantum.circuits.circuit import Circuit, Gate
from quantum.tasks.classification import Classification
from quantum.tasks.training import CircuitTask


def random_starts(task: CircuitTask, starts: int, generator: torch.Generator) -> Tensor:
    """Weights `(starts, weights)` uniform in [-pi, pi), the usual initialisation of a variational circuit."""
    uniform = torch.rand(starts, task.circuit.weights, generator=generator, dtype=torch.float64)
    return math.pi * (2 * uniform - 1)


def train_small(
    task: Classification, layers: Sequence[int], starts: int, generator: torch.Generator
) -> list[tuple[Classification, Tensor]]:
    """A line ansatz of each number of layers, trained from scratch: the task and the weights with the best score.

    If the task's circuit reads features again, the small circuit also does, between its layers.
    """
    results = []
    for count in layers:
        small = replace(task, circuit=_small(task.circuit, count))
        trained = small.train(random_starts(small, starts, generator))
        results.append((small, max(trained, key=small.selection_score)))
    return results


def _small(circuit: Circuit, layers: int) -> Circuit:
    """`line_cx` with the feature reads of `circuit`, spread evenly over its layers."""
    gates = line_cx(circuit.wires, layers).gates
    layer = (len(gates) - circuit.wires) // layers
    reads = _reads(circuit)
    for k, read in reversed(list(enumerate(reads, 1))):
        at = layer * math.ceil(k * layers / (len(reads) + 1))
        gates = gates[:at] + read + gates[at:]
    return Circuit(circuit.wires, gates)


def _reads(circuit: Circuit) -> list[tuple[Gate, ...]]:
    """The gates that read features, in groups: a trained gate on a wire starts a new group for that wire's reads."""
    groups: list[list[Gate]] = []
    trained = set(range(circuit.wires))
    for gate in circuit.gates:
        if gate.feature is None:
            trained |= set(gate.wires)
            continue
        if trained & set(gate.wires) or not groups:
            groups.append([])
            trained = set()
        groups[-1].append(gate)
    return list(map(tuple, groups))


def magnitude_prune(task: Classification, weights: Tensor, shares: Sequence[float]) -> list[tuple[Tensor, Tensor]]:
    """For each share, sets that share of the angles, those nearest to 0 modulo their period, to 0 and trains the rest.

    Returns the weights and the mask of the trained ones for each share, all from the same dense weights.
    """
    periods = torch.tensor([gate.period for gate in task.circuit.trainable], dtype=weights.dtype)
    order = (weights - periods * torch.round(weights / periods)).abs().argsort()
    results = []
    for share in shares:
        free = torch.ones_like(weights, dtype=torch.bool)
        free[order[: round(share * len(weights))]] = False
        start = torch.where(free, weights, 0.0)
        results.append((task.retrain(start, free, start[None])[0], free))
    return results
