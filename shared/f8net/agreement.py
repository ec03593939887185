"""How well an integer program agrees with the float net that it stands for, on samples: of one net, two answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.integer import Program, outputs

Reals = NDArray[np.floating[Any]]
Compute = Callable[[Reals], Reals]
"""Real inputs `(n, *shape)` to real outputs."""

CORRELATION: Final = 0.95
DECISIONS: Final = 0.9
REGRESSION: Final = 0.99
"""Nets of 8 bits that lose no accuracy are above these; below, the page and the command warn."""


@dataclass(frozen=True)
class Agreement:
    """What a program and its float net answer on the same samples. Raw counts; shares are properties."""

    samples: int
    correlation: float | None
    """Between the outputs, each about its mean over the samples; `None` where one of the two is constant."""
    same_decision: int | None
    """Samples with the same largest output; `None` for an output that is no list of several numbers."""
    saturated: float
    """The share of the samples' numbers beyond the ends of the input's format."""
    vanished: int
    """Channels of the input whose samples are all rounded to 0, although they are not."""
    channels: int

    @property
    def warning(self) -> str:
        """Why the integer net may be worth less than the float one, and the way out; empty if they agree."""
        reasons = []
        if self.correlation is not None and self.correlation < CORRELATION:
            reasons.append(f"its outputs correlate by {self.correlation:.2f} only")
        if self.correlation is None and self.samples > 1:
            reasons.append("its outputs are constant on these samples")
        alike = self.correlation is not None and self.correlation > REGRESSION  # its largest output decides nothing
        if self.same_decision is not None and self.same_decision < DECISIONS * self.samples and not alike:
            reasons.append(f"it decides alike on {self.same_decision} of {self.samples} samples")
        if self.vanished:
            reasons.append(
                f"{self.vanished} of {self.channels} inputs are rounded to 0, so small are they beside the largest"
            )
        if not reasons:
            return ""
        return (
            f"The integer net does not compute what the float net does: {', '.join(reasons)}. Bring all inputs to "
            "one scale (divide each by its spread and multiply its weights by it), or train in fixed point (F8Net)."
        )


@dataclass(frozen=True)
class Accuracy:
    """On how many labelled samples the largest output is the one of the label."""

    samples: int
    integer: int
    float: int | None
    """`None` for a net that came in integers."""


def agreement(compute: Compute, program: Program, samples: Reals) -> Agreement:
    """Compares a float net with its program on real samples `(n, *shape)`."""
    (input,) = program.inputs
    integers = input.format.to_integers(samples)
    ours, theirs = _answers(program, samples), _batched(compute, samples)
    off = np.abs(samples - input.format.from_integers(integers))
    others = tuple(axis for axis in range(samples.ndim) if axis != 1)
    gone = (samples != 0).any(others) & ~(integers != 0).any(others)
    several = ours.ndim == 2 and ours.shape[1] > 1
    return Agreement(
        samples=len(samples),
        correlation=correlation(ours, theirs),
        same_decision=int((ours.argmax(1) == theirs.argmax(1)).sum()) if several else None,
        saturated=float((off > input.format.step / 2).mean()),
        vanished=int(gone.sum()),
        channels=gone.size,
    )


def accuracy(compute: Compute | None, program: Program, samples: Reals, labels: NDArray[Any]) -> Accuracy:
    """How often a program, and the float net if there is one, is right on samples `(n, *shape)` with labels `(n,)`.

    Raises `ValueError` for labels that are not the classes of the program, one per sample.
    """
    shape = program.values[program.outputs[0]].shape
    if len(shape) != 1 or shape[0] < 2:
        raise ValueError(f"labels need a net with one output per class, this one has the output {shape}")
    if labels.dtype.kind not in "iu" or labels.shape != (len(samples),):
        raise ValueError(
            f"labels must be {len(samples)} whole numbers, one per sample, got {labels.dtype} {labels.shape}"
        )
    if not 0 <= labels.min() <= labels.max() < shape[0]:
        raise ValueError(f"labels must be 0 to {shape[0] - 1}, got {labels.min()} to {labels.max()}")
    right = [
        int((answers.argmax(1) == labels).sum())
        for answers in (_answers(program, samples), *(() if compute is None else (_batched(compute, samples),)))
    ]
    return Accuracy(len(samples), right[0], right[1] if compute else None)


def correlation(a: Reals, b: Reals) -> float | None:
    """Pearson's, over all outputs, each about its mean over the samples; `None` if one of the two does not vary."""
    a, b = (np.asarray(x, np.float64) - np.mean(x, axis=0, dtype=np.float64) for x in (a, b))
    norms = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float((a * b).sum() / norms) if norms > 0 else None


def _answers(program: Program, samples: Reals) -> Reals:
    """The output of a program for real inputs, as the numbers that it stands for."""
    input, output = program.inputs[0].format, program.values[program.outputs[0]].format
    return _batched(lambda x: output.from_integers(outputs(program, input.to_integers(x))[0]), samples)


def _batched(compute: Compute, samples: Reals) -> Reals:
    return np.concatenate([compute(samples[at : at + 64]) for at in range(0, len(samples), 64)])
