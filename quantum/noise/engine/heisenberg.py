"""Exact expectations of a noisy circuit for many inputs at once.

A circuit is a list of channels; few of them depend on the data, and those mostly come first. So the observables walk
backwards from the measurement to the first channels that depend on data (once for all inputs), the inputs walk forwards
up to there (as small independent states, while nothing entangles them), and both meet in one product:

    <O>(x) = Tr(O E_m ... E_{k+1} E_k(x) ... E_1(x) (rho)) = (R_{k+1}^T ... R_m^T w) . (R_k(x) ... R_1(x) r)

Everything is a real vector or matrix over Pauli products (`quantum.noise.engine.pauli`), in double precision. Only
qubits that influence the observables are followed, from the last gate that does to the first one, and the result is
differentiable in every channel. N inputs cost N times the encoding, not N circuits.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from quantum.noise.engine.pauli import ZERO, pauli_vectors

CHUNK = 2**24
"""About how many numbers (8 bytes each) one product may hold; more inputs or observables are taken in turns."""


class Step(NamedTuple):
    """A channel on `qubits`, by its transfer matrix `(4**k, 4**k)`."""

    qubits: tuple[int, ...]
    channel: Tensor


class Encoding(NamedTuple):
    """A channel on `qubits` that depends on data: from `(samples, features)` to matrices `(samples, 4**k, 4**k)`."""

    qubits: tuple[int, ...]
    channel: Callable[[Tensor], Tensor]


class Plan(NamedTuple):
    """How a circuit is evaluated.

    `early`: the steps that the inputs walk, forwards. `late`: those that the observables walk, backwards, where a plain
    number closes a qubit that is |0> before. `width`: the qubits of the widest tensor on the way. `meeting`: the
    qubits still open where both meet.
    """

    early: list[Step | Encoding]
    late: list[Step | int]
    width: int
    meeting: frozenset[int]


def plan(steps: Sequence[Step | Encoding], measured: Iterable[int], prepared: Iterable[int] = ()) -> Plan:
    """How to evaluate observables on the qubits `measured`, where `prepared` hold data before the first step."""
    live, blocked = set(measured), set[int]()
    early, late = list[Step | Encoding](), list[Step]()
    for step in reversed(steps):  # a step on no live qubit cannot influence what is measured
        if live.isdisjoint(step.qubits):
            continue
        live.update(step.qubits)
        if isinstance(step, Encoding) or not blocked.isdisjoint(step.qubits):
            blocked.update(step.qubits)
            early.append(step)
        else:
            late.append(step)
    closed_by = {qubit: k for k, step in enumerate(late) for qubit in step.qubits}
    ends = live.difference(blocked, prepared)  # qubits that are |0> before their first late step
    held, untouched = set(measured), ends - closed_by.keys()
    walk: list[Step | int] = list(held & untouched)
    widest = len(held)
    held -= untouched
    for k, step in enumerate(late):
        held.update(step.qubits)
        widest = max(widest, len(held))
        closing = [qubit for qubit in step.qubits if closed_by[qubit] == k and qubit in ends]
        held.difference_update(closing)
        walk += [step, *closing]
    return Plan(early[::-1], walk, max(widest, _widest_state(early, prepared)), frozenset(held))


def _widest_state(early: Iterable[Step | Encoding], prepared: Iterable[int]) -> int:
    """Qubits in the largest state that the early steps entangle, in whatever order they come."""
    groups = [set(prepared)]
    for step in early:
        touched = [group for group in groups if not group.isdisjoint(step.qubits)]
        groups = [group for group in groups if group.isdisjoint(step.qubits)] + [set(step.qubits).union(*touched)]
    return max(map(len, groups))


def expectations(
    route: Plan,
    strings: Sequence[tuple[int, ...]],
    x: Tensor,
    states: Tensor | None = None,
    prepared: tuple[int, ...] = (),
) -> Tensor:
    """`<product of Z over each of strings>` for every input, `(samples, strings)`; `route` is their `plan`.

    `x` `(samples, features)` is what the steps read. `states` `(samples, 2**n)` are pure states of the n qubits
    `prepared` (the first one the least significant bit) before the first step; all other qubits begin as |0>.
    """
    rows = max(1, CHUNK // 4**route.width)
    parts = [_expectations(route, strings[k : k + rows], x, states, prepared) for k in range(0, len(strings), rows)]
    return torch.cat(parts, dim=1)


def _expectations(
    route: Plan, strings: Sequence[tuple[int, ...]], x: Tensor, states: Tensor | None, prepared: tuple[int, ...]
) -> Tensor:
    observables, order = _backwards(route.late, strings)
    rows = max(1, CHUNK // max(4**route.width, observables.numel() // 2 ** len(order)))
    parts = []
    for k in range(0, len(x), rows):
        begin = [(list(prepared), pauli_vectors(states[k : k + rows]))] if states is not None else []
        parts.append(_meet(observables, order, _forwards(route, begin, x[k : k + rows]), len(x[k : k + rows])))
    return torch.cat(parts)


def _backwards(walk: Sequence[Step | int], strings: Sequence[tuple[int, ...]]) -> tuple[Tensor, list[int]]:
    """The observables `(strings, 4, ..., 4)` before the late steps, and which qubit each axis is."""
    order = sorted({qubit for string in strings for qubit in string})
    observables = torch.zeros(len(strings), *[4] * len(order), dtype=torch.float64)
    for k, string in enumerate(strings):
        observables[(k, *(3 if qubit in string else 0 for qubit in order))] = 1.0
    waiting: dict[int, Tensor] = {}  # one-qubit channels not yet applied: they merge into the next wider one
    for item in walk:
        if isinstance(item, int):
            vector = waiting.pop(item) @ ZERO if item in waiting else ZERO
            observables = torch.tensordot(observables, vector, dims=([1 + order.index(item)], [0]))
            order.remove(item)
        elif len(item.qubits) == 1:
            (qubit,) = item.qubits
            waiting[qubit] = waiting[qubit] @ item.channel if qubit in waiting else item.channel
        else:
            after = [waiting.pop(qubit, None) for qubit in item.qubits]
            channel = item.channel
            if any(one is not None for one in after):
                channel = reduce(torch.kron, [torch.eye(4).double() if one is None else one for one in after]) @ channel
            for qubit in item.qubits:
                if qubit not in order:  # the observable is the identity there
                    observables = torch.nn.functional.pad(observables.unsqueeze(-1), (0, 3))
                    order.append(qubit)
            observables, order = _apply_transposed(observables, order, item.qubits, channel)
    for qubit, channel in waiting.items():
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


def _forwards(route: Plan, begin: list[tuple[list[int], Tensor]], x: Tensor) -> list[tuple[list[int], Tensor]]:
    """Independent states after the early steps: their qubits and Pauli vectors `(samples or 1, 4, ..., 4)`."""
    parts = list(begin)
    prepared = {qubit for qubits, _ in begin for qubit in qubits}
    used = route.meeting.union(*(step.qubits for step in route.early)) - prepared
    parts += [([qubit], ZERO.unsqueeze(0)) for qubit in sorted(used)]
    for step in route.early:
        channel = step.channel(x) if isinstance(step, Encoding) else step.channel
        touched = [part for part in parts if not set(step.qubits).isdisjoint(part[0])]
        order, state = reduce(_join, touched)
        axes = [1 + order.index(qubit) for qubit in step.qubits]
        ends = list(range(-len(axes), 0))
        moved = state.movedim(axes, ends)
        out = moved.reshape(len(state), -1, channel.shape[-1]) @ channel.mT
        out = out.reshape(len(out), *moved.shape[1:]).movedim(ends, axes)
        parts = [part for part in parts if set(step.qubits).isdisjoint(part[0])] + [(order, out)]
    return parts


def _join(a: tuple[list[int], Tensor], b: tuple[list[int], Tensor]) -> tuple[list[int], Tensor]:
    """The product of two independent states."""
    product = a[1].flatten(1).unsqueeze(-1) * b[1].flatten(1).unsqueeze(-2)
    return a[0] + b[0], product.reshape(len(product), *a[1].shape[1:], *b[1].shape[1:])


def _meet(observables: Tensor, order: list[int], parts: list[tuple[list[int], Tensor]], samples: int) -> Tensor:
    """`w . r` for each sample and observable, `(samples, strings)`.

    The state is a product of independent parts. They are gathered in two halves, so that the state of
    all qubits together is never written out.
    """
    halves: list[tuple[list[int], Tensor]] = [([], torch.ones(1, 1).double())] * 2
    for qubits, state in sorted(parts, key=lambda part: -len(part[0])):
        for axis in reversed(range(len(qubits))):  # the identity is all that is measured on other qubits
            if qubits[axis] not in order:
                state = state.select(1 + axis, 0)
        inside = [qubit for qubit in qubits if qubit in order]
        halves.sort(key=lambda half: len(half[0]))
        halves[0] = _join(halves[0], (inside, state.reshape(len(state), *[4] * len(inside))))
    (left, a), (right, b) = halves
    a, b = (half.flatten(1).expand(samples, -1) for half in (a, b))
    w = observables.permute(0, *(1 + order.index(qubit) for qubit in left + right))
    half_way = w.reshape(-1, b.shape[1]) @ b.T
    return torch.einsum("olb,bl->bo", half_way.reshape(len(w), a.shape[1], samples), a)
