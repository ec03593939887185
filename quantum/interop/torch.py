"""Quantum layers of torch models to circuits and back: `VQCLayer`, and PennyLane's `TorchLayer`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor

from quantum.circuits.circuit import Circuit
from quantum.circuits.encode import amplitude
from quantum.circuits.readout import Readout
from quantum.simulation.simulate import expectations

if TYPE_CHECKING:
    import pennylane as qml


class VQCLayer(torch.nn.Module):
    """Class scores of a variational circuit: encoder, trainable gates and readout as one torch layer.

    Maps rows `(..., features)` to scores `(..., classes)` in the dtype of the rows; the simulation is exact and
    differentiable, in double precision. `circuit` includes the gates of the encoder: `angle(4, 16) + ansatz("line")`.
    With `amplitudes` the rows are instead the amplitudes of the initial state of the circuit.

    >>> from quantum.circuits.ansatz import line
    >>> from quantum.circuits.encode import angle
    >>> from quantum.circuits.readout import per_class
    >>> circuit = angle(2, 3) + line(2, 1)
    >>> layer = VQCLayer(circuit, per_class(2, 2), torch.zeros(circuit.weights))
    >>> layer(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self, circuit: Circuit, readout: Readout, weight: Sequence[float] | Tensor, amplitudes: bool = False
    ) -> None:
        super().__init__()
        values = torch.as_tensor(weight, dtype=torch.float64).detach().clone()
        if values.shape != (circuit.weights,):
            raise ValueError(f"weight has the shape {tuple(values.shape)}: the circuit reads {circuit.weights} weights")
        if amplitudes and circuit.features:
            raise ValueError(f"the circuit reads {circuit.features} features itself: use amplitudes=False")
        if outside := sorted(wire for wire in readout.wires if wire >= circuit.wires):
            raise ValueError(f"the readout measures wire {outside[0]} of a circuit of {circuit.wires} wires")
        self.circuit, self.readout, self.amplitudes = circuit, readout, amplitudes
        self.weight = torch.nn.Parameter(values)

    def forward(self, x: Tensor) -> Tensor:
        """Scores `(..., classes)` of the rows `x` `(..., features)`."""
        rows = x.reshape(-1, x.shape[-1]).to(torch.float64)
        data = {"states": amplitude(rows, self.circuit.wires)} if self.amplitudes else {"x": rows}
        scores = self.readout.logits(expectations(self.circuit, self.weight, self.readout, **data))
        return scores.reshape(*x.shape[:-1], self.readout.classes).to(x.dtype)

    def extra_repr(self) -> str:
        gates, weights, classes = len(self.circuit.gates), self.circuit.weights, self.readout.classes
        return f"wires={self.circuit.wires}, gates={gates}, weights={weights}, classes={classes}"


def from_torch(layer: torch.nn.Module, inputs: Tensor | None = None) -> tuple[Circuit, list[float]]:
    """The circuit with one weight per rotation that reads no data, and the values of those weights.

    `layer` is a `VQCLayer`, or PennyLane's `qml.qnn.TorchLayer` with one row of data in `inputs` as an example.
    """
    if isinstance(layer, VQCLayer):
        return layer.circuit.untie(layer.weight.tolist())
    if not is_pennylane(layer):
        raise ValueError(
            f"a {type(layer).__name__} is not a quantum layer: pass the VQCLayer or qml.qnn.TorchLayer inside it"
        )
    from quantum.interop.pennylane import from_pennylane

    return from_pennylane(layer.qnode, features=layer.input_arg, **_example(layer, inputs))


def to_torch(
    circuit: Circuit, weights: Sequence[float], like: torch.nn.Module, inputs: Tensor | None = None
) -> torch.nn.Module:
    """A layer of the type of `like` with the gates of `circuit`, the same measurements, and `weights` as parameter."""
    if isinstance(like, VQCLayer):
        return VQCLayer(circuit, like.readout, weights, like.amplitudes)
    if not is_pennylane(like):
        raise ValueError(f"a {type(like).__name__} is not a quantum layer: pass a VQCLayer or a qml.qnn.TorchLayer")
    import pennylane as qml

    from quantum.interop.pennylane import to_pennylane

    node = to_pennylane(circuit, weights, like.qnode, features=like.input_arg, **_example(like, inputs))
    values = torch.as_tensor(weights, dtype=torch.float64)
    layer: torch.nn.Module = qml.qnn.TorchLayer(node, {"weights": (len(values),)}, init_method={"weights": values})
    return layer


def is_pennylane(layer: object) -> "TypeGuard[qml.qnn.TorchLayer]":
    """Whether the layer is PennyLane's `TorchLayer`, without importing PennyLane."""
    return any(
        (kind.__module__, kind.__name__) == ("pennylane.qnn.torch", "TorchLayer") for kind in type(layer).__mro__
    )


def _example(layer: "qml.qnn.TorchLayer", inputs: Tensor | None) -> dict[str, Any]:
    if inputs is None:
        raise ValueError("a TorchLayer does not state how many features it reads: pass one row of data in inputs=")
    return {layer.input_arg: inputs} | {name: weight.detach() for name, weight in layer.qnode_weights.items()}
