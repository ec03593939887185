"""Templates of a class: its pulses on a grid of all parameters but delay and phase."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wireless.radar.waveforms.codes import costas_arrays
from wireless.radar.waveforms.laws import COSTAS_ORDERS
from wireless.radar.waveforms.pulses import unit
from wireless.radar.waveforms.ranges import AbstractRange, Choice, Uniform
from wireless.radar.waveforms.waveform import AbstractWaveform, Coded, Column, Modulated

STEPS: Final[Mapping[str, float]] = {"carrier": 0.5, "base": 0.25, "bandwidth": 2.0}
"""Distance of neighbouring values times the samples of a window. At half a step a carrier has turned by a quarter of a
turn over the whole window, the highest of six hops by an eighth while it lasts, and the ends of a chirp by an eighth:
templates lose about one decibel at worst, and the bound with them."""

Grid = dict[str, Column]


def templates(
    waveform: AbstractWaveform, samples: int, widths: Sequence[int], at_once: int = 128
) -> Iterator[tuple[NDArray[np.complex64], NDArray[np.int64]]]:
    """Every template of a class, `at_once` at a time: samples from the start of the window on, `(n, samples)`, and
    widths `(n,)`.

    Raises `ValueError` as `require_templates`.
    """
    require_templates(waveform)
    grid = _grid(waveform, samples, widths)
    count = len(grid["width"])
    for begin in range(0, count, at_once):
        p = {name: column[begin : begin + at_once] for name, column in grid.items()}
        at = np.arange(samples, dtype=np.float64)[None]
        k = np.minimum(at, p["width"] - 1)
        signal = unit(waveform.turns(k, p) + p["carrier"] * k)
        signal[at + 0 * p["width"] >= p["width"]] = 0
        yield signal, p["width"][:, 0]


def require_templates(waveform: AbstractWaveform) -> None:
    """Raises `ValueError` for a class that no list of templates covers: one whose code is random."""
    if not isinstance(waveform, Coded | Modulated):
        raise ValueError(f"class {waveform.name!r} has no templates: its code is random; leave it out of the bound")


def _grid(waveform: AbstractWaveform, samples: int, widths: Sequence[int]) -> Grid:
    values = {name: _values(name, range_, samples) for name, range_ in waveform.ranges.items() if name != "share"}
    if isinstance(waveform, Coded):
        chosen = _product(**values, code=range(len(waveform.codes)), cycles=waveform.cycles)
        return chosen | waveform.timed(chosen["code"], chosen["cycles"], chosen["carrier"], samples)
    if "hops" not in values:
        return _product(**values, width=widths)
    parts = [
        _product(**values | {"hops": (order,)}, share=_middles(len(costas_arrays(order))), width=widths)
        for order in COSTAS_ORDERS
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _values(name: str, range_: AbstractRange, samples: int) -> Sequence[Any] | NDArray[Any]:
    if isinstance(range_, Choice):
        return range_.values
    assert isinstance(range_, Uniform)
    count = max(int(np.ceil((range_.high - range_.low) * samples / STEPS[name])), 1)
    values: NDArray[np.float64] = range_.low + (range_.high - range_.low) * _middles(count)
    return values


def _middles(count: int) -> NDArray[np.float64]:
    """The middles of so many equal parts of 0 to 1."""
    return (np.arange(count) + 0.5) / count


def _product(**values: Sequence[Any] | NDArray[Any]) -> Grid:
    """All combinations, a column for each name."""
    rows = list(product(*values.values()))
    return {name: np.array(column)[:, None] for name, column in zip(values, zip(*rows, strict=True), strict=True)}
