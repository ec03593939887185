"""Measurement results of a compiled circuit on a noisy device: exact expectations and probabilities, and shots."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
from qiskit import QuantumCircuit
from torch import Tensor

from quantum import Note
from quantum.circuits.readout import Readout
from quantum.devices.target import Device
from quantum.noise.engine import heisenberg
from quantum.noise.engine.angles import Angles, feature, symbols
from quantum.noise.engine.channels import Noise
from quantum.noise.engine.heisenberg import Encoding, Step
from quantum.noise.engine.pauli import gate_transfer
from quantum.noise.engine.schedule import Timed, schedule

EXACT_NUMBERS = 2**28
"""Largest `observables x 4**qubits` for the exact engine (16 observables of 12 qubits); Aer samples beyond it."""

FALLBACK_SHOTS = 4000
"""Trajectories per input where the circuit is too wide: a standard error of at most 0.016 on an expectation."""


@dataclass(frozen=True, eq=False)
class NoisyCircuit:
    """A circuit in the basis gates of a device, on that device with its noise scaled by `scale`.

    Its gates may depend on data through parameters `x[k]`. `measured[w]` is the physical qubit that holds the logical
    wire w at the end, `prepared[w]` the one that holds it before the first gate (for amplitude encoding); both default
    to Qiskit's layout of the circuit. `quantum.noise.engine.channels.Noise` acts on every gate, on every idle time of
    an as-late-as-possible schedule, and on the readout.

    >>> from quantum.devices.target import device
    >>> circuit = QuantumCircuit(7)
    >>> _ = circuit.x(0)
    >>> flipped = NoisyCircuit(circuit, device("nairobi"), measured=(0,))
    >>> flipped.expectations(Readout(((0,),), ((1.0,),)))
    tensor([[-0.8833]], dtype=torch.float64)
    """

    circuit: QuantumCircuit
    device: Device
    measured: tuple[int, ...] | None = None
    prepared: tuple[int, ...] | None = None
    scale: float = 1.0
    seed: int = 0

    @cached_property
    def wires(self) -> tuple[int, ...]:
        """The physical qubit that is measured for each logical wire."""
        layout = self.circuit.layout
        if self.measured is not None:
            return tuple(self.measured)
        return tuple(range(self.circuit.num_qubits) if layout is None else layout.final_index_layout())

    @cached_property
    def input_qubits(self) -> tuple[int, ...]:
        """The physical qubit that holds each logical wire of an input state before the first gate."""
        if self.prepared is not None:
            return tuple(self.prepared)
        layout = self.circuit.layout
        return self.wires if layout is None else tuple(layout.initial_index_layout(filter_ancillas=True))

    @cached_property
    def parts(self) -> list["Part"]:
        """The operations and idle times in order, then the readout of each measured qubit, with their noise."""
        noise = Noise(self.device, self.scale)
        timed = schedule(self.circuit, self.device, self.input_qubits)
        one = torch.eye(4, dtype=torch.float64)
        return _parts(timed, noise) + [Part("measure", (qubit,), one, noise.readout(qubit)) for qubit in self.wires]

    @cached_property
    def steps(self) -> list[Step | Encoding]:
        """The `parts` as channels."""
        return [part.step() for part in self.parts]

    def expectations(self, readout: Readout, x: Tensor | None = None, states: Tensor | None = None) -> Tensor:
        """`<prod of Z>` of each of the readout's parities as measured, `(samples, strings)`, in double precision.

        `x` is `(samples, features)`; `states` `(samples, 2**wires)` are pure states to begin with, wire 0 the least
        significant bit. Exact; a circuit too wide for the exact engine is sampled by Aer, with a warning.
        """
        x, states = self._checked(x, states)
        strings = self._on_device(readout.strings)
        plan = self._contraction_plan(strings, states)
        if plan is not None:
            return heisenberg.expectations(plan, strings, x, states, self.input_qubits)
        wires = sorted(readout.wires)
        return self._sampled(wires, x, states) @ _signs(readout.strings, wires).T

    def probabilities(
        self, x: Tensor | None = None, states: Tensor | None = None, *, wires: Sequence[int] | None = None
    ) -> Tensor:
        """Probabilities of the outcomes of `wires` (default all), `(samples, 2**len(wires))`; the first wire is bit 0.

        Computed from the expectations of all their parities, and as exact as those: `p(b) = 2**-n sum_s (-1)**(b.s)
        <Z_s>`.
        """
        wires = range(len(self.wires)) if wires is None else wires
        strings = [tuple(w for k, w in enumerate(wires) if index >> k & 1) for index in range(2 ** len(wires))]
        x, states = self._checked(x, states)
        qubits = self._on_device(strings)
        plan = self._contraction_plan(qubits, states)
        if plan is None:
            return self._sampled(wires, x, states)
        parities = heisenberg.expectations(plan, qubits, x, states, self.input_qubits)
        return parities @ _signs(strings, wires) / len(strings)

    def _on_device(self, strings: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        wires = {wire for string in strings for wire in string}
        if wires and max(wires) >= len(self.wires):
            raise ValueError(f"the readout measures wire {max(wires)} of a circuit of {len(self.wires)} wires")
        return [tuple(self.wires[wire] for wire in string) for string in strings]

    def _contraction_plan(
        self, strings: Sequence[tuple[int, ...]], states: Tensor | None
    ) -> heisenberg.ContractionPlan | None:
        """The exact evaluation of these parities of physical qubits; None, with a warning, if it is too wide."""
        qubits = {qubit for string in strings for qubit in string}
        plan = heisenberg.contraction_plan(self.steps, qubits, () if states is None else self.input_qubits)
        if len(strings) * 4**plan.width <= EXACT_NUMBERS:
            return plan
        warnings.warn(
            f"{len(strings)} observables that reach {plan.width} qubits are too wide for the exact engine: "
            f"estimated with Aer from {FALLBACK_SHOTS} trajectories per input (seed {self.seed})",
            Note,
            stacklevel=3,
        )
        return None

    def _sampled(self, wires: Sequence[int], x: Tensor, states: Tensor | None) -> Tensor:
        from quantum.noise.engine import trajectories

        return trajectories.probabilities(
            self.circuit,
            self.device,
            [self.wires[wire] for wire in wires],
            x,
            states,
            self.input_qubits,
            scale=self.scale,
            shots=FALLBACK_SHOTS,
            seed=self.seed,
        )

    def _checked(self, x: Tensor | None, states: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The inputs in double precision, with one row of `x` per sample even if no gate reads it."""
        samples = len(states) if states is not None else 1
        x = torch.zeros(samples, 0) if x is None else torch.as_tensor(x)
        needed = max((1 + feature(p) for p in self.circuit.parameters), default=0)
        if x.ndim != 2 or x.shape[1] < needed:
            raise ValueError(
                f"x has the shape {tuple(x.shape)}: the circuit needs (samples, {needed} or more features)"
            )
        if not torch.isfinite(x).all():
            row, column = (~torch.isfinite(x)).nonzero()[0].tolist()
            raise ValueError(f"x[{row}, {column}] is {x[row, column]}: features are finite")
        if states is not None and states.shape != (len(x), 2 ** len(self.input_qubits)):
            raise ValueError(
                f"states have the shape {tuple(states.shape)}: {len(x)} samples on {len(self.input_qubits)} wires need "
                f"{(len(x), 2 ** len(self.input_qubits))}"
            )
        return x.double(), None if states is None else states.to(torch.complex128)


class Part(NamedTuple):
    """An operation on `qubits`: its ideal channel (a function of the data for an encoding), then its noise, if any.

    Idle times are named `delay` and readouts `measure`; their ideal channel is the identity.
    """

    name: str
    qubits: tuple[int, ...]
    ideal: Tensor | Callable[[Tensor], Tensor]
    error: Tensor | None

    def step(self) -> Step | Encoding:
        """The ideal channel and the noise as one channel."""
        ideal, error = self.ideal, self.error
        if isinstance(ideal, Tensor):
            return Step(self.qubits, ideal if error is None else error @ ideal)
        return Encoding(self.qubits, ideal if error is None else lambda x: error @ ideal(x))


def _parts(timed: Sequence[Timed], noise: Noise) -> list[Part]:
    """Every operation as a part; gates of one name, and all idle times, are computed together."""
    by_name: dict[str, list[int]] = defaultdict(list)
    parts: dict[int, Part] = {}
    for k, item in enumerate(timed):
        if symbols(item.params):
            ideal = partial(_encoding, item.name, Angles(item.params))
            parts[k] = Part(item.name, item.qubits, ideal, noise.gate(item.name, item.qubits))
        else:
            by_name[item.name].append(k)
    for name, indices in by_name.items():
        items = [timed[k] for k in indices]
        if name == "delay":
            one = torch.eye(4, dtype=torch.float64)
            relaxed = zip(items, _relaxation(items, noise), strict=True)
            same_name = [Part(name, item.qubits, one, error) for item, error in relaxed]
        else:
            ideals = zip(items, _ideal(items), strict=True)
            same_name = [Part(name, item.qubits, ideal, noise.gate(name, item.qubits)) for item, ideal in ideals]
        parts.update(zip(indices, same_name, strict=True))
    return [parts[k] for k in range(len(timed))]


def _encoding(name: str, angles: Angles, x: Tensor) -> Tensor:
    return gate_transfer(name, angles(x))


def _relaxation(items: Sequence[Timed], noise: Noise) -> Tensor:
    qubits = torch.tensor([item.qubits[0] for item in items])
    return noise.wait(qubits, torch.tensor([item.seconds for item in items], dtype=torch.float64))


def _ideal(items: Sequence[Timed]) -> Tensor:
    """The gates, all of one name, without error."""
    angles = [[float(angle) for angle in item.params] for item in items]
    return gate_transfer(items[0].name, torch.tensor(angles, dtype=torch.float64))


def _signs(strings: Sequence[tuple[int, ...]], wires: Sequence[int]) -> Tensor:
    """`(strings, 2**len(wires))` of +-1: each parity on each outcome of `wires`."""
    place = {wire: k for k, wire in enumerate(wires)}
    return Readout(tuple(tuple(place[w] for w in string) for string in strings), ()).parities(len(wires))


def sample_expectations(probabilities: Tensor, signs: Tensor, shots: int, rng: np.random.Generator) -> Tensor:
    """Parities `(samples, strings)` as `shots` measurements per sample would estimate them.

    Outcomes are sampled from their exact `probabilities` `(samples, 2**n)`; `signs` `(strings, 2**n)` is
    `readout.parities(n)`. The parities of one shot belong to the same measured bits, so their errors are correlated as
    on the device.
    """
    if shots < 1:
        raise ValueError(f"shots={shots}: at least 1 is needed")
    p = probabilities.clamp(min=0).numpy()
    counts = rng.multinomial(shots, p / p.sum(axis=1, keepdims=True))
    return torch.from_numpy(counts / shots) @ signs.T
