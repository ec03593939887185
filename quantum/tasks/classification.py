"""The task of classifying labelled data with a circuit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from quantum.circuits.circuit import Circuit
from quantum.circuits.encode import amplitude, angle
from quantum.circuits.lossless import lossless
from quantum.circuits.readout import Readout, per_class
from quantum.simulation.simulate import evolve, expectations, zero_state
from quantum.tasks.data import PARTS, Data
from quantum.tasks.training import CircuitTask, Training

LOGIT_SCALE = 4.0
"""Logits are this times <Z>. With 1, cross-entropy keeps pulling on samples that are already classified correctly,
which costs points of accuracy in dense and small circuits alike; `python -m benchmarks.compvqc` uses one scale."""


@dataclass(frozen=True, eq=False)
class Classification(CircuitTask):
    """Cross-entropy of a circuit on encoded data.

    `circuit` is the trainable part, which starts from the encoded data `states[part]` `(samples, 2**wires)`. `columns`
    holds the features if the circuit reads them again between weights.
    """

    states: Mapping[str, Tensor]
    labels: Mapping[str, Tensor]
    columns: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        for part, labels in self.labels.items():
            if int(labels.max()) >= self.readout.classes:
                row = int(labels.argmax())
                raise ValueError(
                    f"label {int(labels.max())} at row {row} of {part}: the readout has the classes 0 to "
                    f"{self.readout.classes - 1}"
                )

    def logits(self, weights: Tensor, part: str) -> Tensor:
        """Class scores `(..., samples, classes)` at weights `(..., circuit.weights)`."""
        values = expectations(self.circuit, weights, self.readout, states=self.states[part], x=self.columns.get(part))
        return self.readout.logits(values)

    def cross_entropy(self, weights: Tensor, part: str) -> Tensor:
        """The mean cross-entropy over the samples of the part, in nats, `(...,)`."""
        logits = self.logits(weights, part)
        labels = self.labels[part].expand(logits.shape[:-1])
        return cross_entropy(logits.movedim(-1, 1) if logits.ndim > 2 else logits, labels, reduction="none").mean(-1)

    @torch.no_grad()
    def correct(self, weights: Tensor, part: str) -> int:
        """The number of samples of the part that are classified correctly."""
        return int((self.logits(weights, part).argmax(-1) == self.labels[part]).sum())

    def objective(self, weights: Tensor, part: str) -> Tensor:
        return self.cross_entropy(weights, part)

    def quality(self, weights: Tensor, part: str) -> float:
        return self.accuracy(weights, part)

    def accuracy(self, weights: Tensor, part: str) -> float:
        """The share of the part's samples that are classified correctly."""
        return self.correct(weights, part) / len(self.labels[part])

    @torch.no_grad()
    def selection_score(self, weights: Tensor) -> tuple[int, float]:
        """The number of correct training and validation samples, then the negative loss over them.

        On a small validation part alone some of a hundred circuits are lucky; a circuit of thirty angles hardly
        overfits, so its training samples add more information than bias.
        """
        parts = ("train", "val")
        loss = sum(float(self.cross_entropy(weights, part)) * len(self.labels[part]) for part in parts)
        return sum(self.correct(weights, part) for part in parts), -loss

    def frozen(self, weights: Tensor, free: Tensor) -> "Classification":
        """The task of the free weights, on the losslessly rewritten circuit with the frozen weights bound."""
        short, readout = lossless(self.circuit.freeze(weights.tolist(), free.tolist()), self.readout)
        return replace(self, circuit=short, readout=readout)


def classification(
    circuit: Circuit,
    data: Data,
    *,
    encoding: str = "angle",
    training: Training | None = None,
    readout: Readout | None = None,
) -> Classification:
    """The task of classifying `data` with `circuit`.

    `encoding` prepares the data before the circuit: `angle` (rotations), `amplitude` (a state vector), or `own` if the
    circuit reads its features itself.
    """
    if encoding not in ("angle", "amplitude", "own"):
        raise ValueError(
            f"encoding {encoding!r} is unknown: use angle, amplitude or own (the circuit reads its features)"
        )
    if encoding != "own" and circuit.features:
        raise ValueError(f"the circuit reads {circuit.features} features itself: use encoding own, not {encoding}")
    if encoding == "own" and not circuit.features:
        raise ValueError("encoding own, but the circuit reads no feature: use angle or amplitude")
    readout = readout or per_class(circuit.wires, len(data.classes), LOGIT_SCALE)
    parts = {part: getattr(data, part) for part in PARTS}
    if encoding == "amplitude":
        states = {part: amplitude(rows.x, circuit.wires) for part, rows in parts.items()}
    else:
        encoder = circuit.encoder if encoding == "own" else angle(circuit.wires, data.features)
        none = torch.zeros(0, dtype=torch.float64)
        states = {
            part: evolve(encoder, none, rows.x, zero_state(len(rows.x), circuit.wires)) for part, rows in parts.items()
        }
    body = circuit.body if encoding == "own" else circuit
    return Classification(
        circuit=body,
        readout=readout,
        states=states,
        labels={part: rows.y for part, rows in parts.items()},
        columns={part: rows.x for part, rows in parts.items()} if body.features else {},
        training=training or Training(),
    )
