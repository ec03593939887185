"""Exact expectations of a noisy circuit for many inputs at once.

A circuit is a list of channels; few of them depend on the data, and most of those come first. The observables are
therefore propagated backward from the measurement to the channels that depend on data (once for all inputs), the input
states are propagated forward up to there (as small independent states, as long as nothing entangles them), and one
contraction of both gives the expectations:

    <O>(x) = Tr(O E_m ... E_{k+1} E_k(x) ... E_1(x) (rho)) = (R_{k+1}^T ... R_m^T w) . (R_k(x) ... R_1(x) r)

Everything is a real vector or matrix over Pauli products (`quantum.noise.engine.pauli`), in double precision. Only the
qubits and gates in the light cone of the observables are evaluated, and the result is differentiable in every channel.
N inputs cost N times the encoding, not N circuits.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from quantum.noise.engine.pauli import ZERO, pauli_vectors

CHUNK = 2**24
"""About how many numbers (8 bytes each) one product may hold; more inputs or observables are split into batches."""


class Step(NamedTuple):
    """A channel on `qubits`, by its transfer matrix `(4**k, 4**k)`."""

    qubits: tuple[int, ...]
    channel: Tensor


class Encoding(NamedTuple):
    """A channel on `qubits` that depends on data: from `(samples, features)` to matrices `(samples, 4**k, 4**k)`."""

    qubits: tuple[int, ...]
    channel: Callable[[Tensor], Tensor]


class ContractionPlan(NamedTuple):
    """The order in which a circuit is evaluated.

    `forward`: the steps applied to the input states. `backward`: the steps applied to the observables, last step first;
    a number among them is a qubit in |0> before its first step, which is contracted there. `width`: the number of
    qubits of the widest tensor. `open_qubits`: those over which the observables and the states are contracted.
    """

    forward: list[Step | Encoding]
    backward: list[Step | int]
    width: int
    open_qubits: frozenset[int]


def contraction_plan(
    steps: Sequence[Step | Encoding], measured: Iterable[int], prepared: Iterable[int] = ()
) -> ContractionPlan:
    """The plan for observables on the qubits `measured`, if the qubits `prepared` hold data before the first step."""
    live, data_dependent = set(measured), set[int]()
    forward, channels = list[Step | Encoding](), list[Step]()
    for step in reversed(steps):  # a step on no live qubit is outside the light cone of the observables
        if live.isdisjoint(step.qubits):
            continue
        live.update(step.qubits)
        if isinstance(step, Encoding) or not data_dependent.isdisjoint(step.qubits):
            data_dependent.update(step.qubits)
            forward.append(step)
        else:
            channels.append(step)
    first_step = {qubit: k for k, step in enumerate(channels) for qubit in step.qubits}
    in_zero = live.difference(data_dependent, prepared)  # qubits that are |0> before their first backward step
    held, idle = set(measured), in_zero - first_step.keys()
    backward: list[Step | int] = list(held & idle)
    widest = len(held)
    held -= idle
    for k, step in enumerate(channels):
        held.update(step.qubits)
        widest = max(widest, len(held))
        contracted = [qubit for qubit in step.qubits if first_step[qubit] == k and qubit in in_zero]
        held.difference_update(contracted)
        backward += [step, *contracted]
    return ContractionPlan(forward[::-1], backward, max(widest, _widest_state(forward, prepared)), frozenset(held))


def _widest_state(forward: Iterable[Step | Encoding], prepared: Iterable[int]) -> int:
    """Qubits in the largest state that the forward steps entangle, in any order of the steps."""
    groups = [set(prepared)]
    for step in forward:
        touched = [group for group in groups if not group.isdisjoint(step.qubits)]
        groups = [group for group in groups if group.isdisjoint(step.qubits)] + [set(step.qubits).union(*touched)]
    return max(map(len, groups))


def expectations(
    plan: ContractionPlan,
    strings: Sequence[tuple[int, ...]],
    x: Tensor,
    states: Tensor | None = None,
    prepared: tuple[int, ...] = (),
) -> Tensor:
    """`<product of Z over each of strings>` for every input, `(samples, strings)`, by their `contraction_plan`.

    `x` `(samples, features)` holds the data of the encoding steps. `states` `(samples, 2**n)` are pure states of the n
    qubits `prepared` (the first one the least significant bit) before the first step; all other qubits begin as |0>.
    """
    rows = max(1, CHUNK // 4**plan.width)
    parts = [_expectations(plan, strings[k : k + rows], x, states, prepared) for k in range(0, len(strings), rows)]
    return torch.cat(parts, dim=1)


def _expectations(
    plan: ContractionPlan,
    strings: Sequence[tuple[int, ...]],
    x: Tensor,
    states: Tensor | None,
    prepared: tuple[int, ...],
) -> Tensor:
    observables, order = _propagate_observables(plan.backward, strings)
    rows = max(1, CHUNK // max(4**plan.width, observables.numel() // 2 ** len(order)))
    parts = []
    for k in range(0, len(x), rows):
        initial = [(list(prepared), pauli_vectors(states[k : k + rows]))] if states is not None else []
        final = _propagate_states(plan, initial, x[k : k + rows])
        parts.append(_contract(observables, order, final, len(x[k : k + rows])))
    return torch.cat(parts)


def _propagate_observables(
    backward: Sequence[Step | int], strings: Sequence[tuple[int, ...]]
) -> tuple[Tensor, list[int]]:
    """The observables `(strings, 4, ..., 4)` before the backward steps, and the qubit of each axis."""
    order = sorted({qubit for string in strings for qubit in string})
    observables = torch.zeros(len(strings), *[4] * len(order), dtype=torch.float64)
    for k, string in enumerate(strings):
        observables[(k, *(3 if qubit in string else 0 for qubit in order))] = 1.0
    pending: dict[int, Tensor] = {}  # one-qubit channels not yet applied: they merge into the next wider one
    for item in backward:
        if isinstance(item, int):
            vector = pending.pop(item) @ ZERO if item in pending else ZERO
            observables = torch.tensordot(observables, vector, dims=([1 + order.index(item)], [0]))
            order.remove(item)
        elif len(item.qubits) == 1:
            (qubit,) = item.qubits
            pending[qubit] = pending[qubit] @ item.channel if qubit in pending else item.channel
        else:
            after = [pending.pop(qubit, None) for qubit in item.qubits]
            channel = item.channel
            if any(one is not None for one in after):
                channel = reduce(torch.kron, [torch.eye(4).double() if one is None else one for one in after]) @ channel
            for qubit in item.qubits:
                if qubit not in order:  # the observable is the identity there
                    observables = torch.nn.functional.pad(observables.unsqueeze(-1), (0, 3))
                    order.append(qubit)
            observables, order = _apply_transposed(observables, order, item.qubits, channel)
    for qubit, channel in pending.items():
        observables, order = _apply_transposed(observables, order, (qubit,), channel)
    return observables, order


def _apply_transposed(
    observables: Tensor, order: list[int], qubits: tuple[int, ...], channel: Tensor
) -> tuple[Tensor, list[int]]:
    """`R^T w`: the axes of `qubits` move to the end."""
    k = len(qubits)
    axes = [1 + order.index(qubit) for qubit in qubits]
    out = torch.tensordot(observables, channel.reshape([4] * (2 * k)), dims=(axes, list(range(k))))
    return out, [qubit for qubit in order if qubit not in qubits] + list(qubits)


def _propagate_states(
    plan: ContractionPlan, initial: list[tuple[list[int], Tensor]], x: Tensor
) -> list[tuple[list[int], Tensor]]:
    """Independent states after the forward steps: their qubits and Pauli vectors `(samples or 1, 4, ..., 4)`."""
    factors = list(initial)
    prepared = {qubit for qubits, _ in initial for qubit in qubits}
    used = plan.open_qubits.union(*(step.qubits for step in plan.forward)) - prepared
    factors += [([qubit], ZERO.unsqueeze(0)) for qubit in sorted(used)]
    for step in plan.forward:
        channel = step.channel(x) if isinstance(step, Encoding) else step.channel
        touched = [factor for factor in factors if not set(step.qubits).isdisjoint(factor[0])]
        order, state = reduce(_tensor_product, touched)
        axes = [1 + order.index(qubit) for qubit in step.qubits]
        ends = list(range(-len(axes), 0))
        moved = state.movedim(axes, ends)
        out = moved.reshape(len(state), -1, channel.shape[-1]) @ channel.mT
        out = out.reshape(len(out), *moved.shape[1:]).movedim(ends, axes)
        factors = [factor for factor in factors if set(step.qubits).isdisjoint(factor[0])] + [(order, out)]
    return factors


def _tensor_product(a: tuple[list[int], Tensor], b: tuple[list[int], Tensor]) -> tuple[list[int], Tensor]:
    """The product of two independent states."""
    product = a[1].flatten(1).unsqueeze(-1) * b[1].flatten(1).unsqueeze(-2)
    return a[0] + b[0], product.reshape(len(product), *a[1].shape[1:], *b[1].shape[1:])


def _contract(observables: Tensor, order: list[int], factors: list[tuple[list[int], Tensor]], samples: int) -> Tensor:
    """`w . r` for each sample and observable, `(samples, strings)`.

    The state is a product of independent factors. They are joined into two halves, so that the state of all qubits is
    never built.
    """
    halves: list[tuple[list[int], Tensor]] = [([], torch.ones(1, 1).double())] * 2
    for qubits, state in sorted(factors, key=lambda factor: -len(factor[0])):
        for axis in reversed(range(len(qubits))):  # on every other qubit the observables are the identity
            if qubits[axis] not in order:
                state = state.select(1 + axis, 0)
        inside = [qubit for qubit in qubits if qubit in order]
        halves.sort(key=lambda half: len(half[0]))
        halves[0] = _tensor_product(halves[0], (inside, state.reshape(len(state), *[4] * len(inside))))
    (left, a), (right, b) = halves
    a, b = (half.flatten(1).expand(samples, -1) for half in (a, b))
    w = observables.permute(0, *(1 + order.index(qubit) for qubit in left + right))
    half_way = w.reshape(-1, b.shape[1]) @ b.T
    return torch.einsum("olb,bl->bo", half_way.reshape(len(w), a.shape[1], samples), a)
