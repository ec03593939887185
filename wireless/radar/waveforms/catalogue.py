"""Every class of pulses by name, with the ranges of its parameters."""

import difflib
from collections.abc import Sequence

import numpy as np

from wireless.radar.waveforms import laws
from wireless.radar.waveforms.codes import barker, frank, p1, p2, p3, p4
from wireless.radar.waveforms.polyphase import POLYPHASE_BARKER
from wireless.radar.waveforms.ranges import Choice, Integers, Uniform
from wireless.radar.waveforms.waveform import (
    CARRIER,
    AbstractWaveform,
    Coded,
    Modulated,
    NoiseRadar,
    RandomCoded,
)

_CARRIER = {"carrier": CARRIER}
_NARROW = {**_CARRIER, "bandwidth": Uniform(1 / 20, 1 / 16)}
_WIDE = {**_CARRIER, "bandwidth": Uniform(1 / 20, 1 / 10)}
_POLYTIME = {**_CARRIER, "states": Choice((2,))}
_SEGMENTS = {**_POLYTIME, "segments": Choice((4, 5, 6))}
_EITHER, _UP, _DOWN = ({"direction": Choice(values)} for values in ((-1, 1), (1,), (-1,)))

_ALL: tuple[AbstractWaveform, ...] = (
    Modulated("cw", "unmodulated pulse", "Richards, chapter 4", _CARRIER, law=laws.constant),
    Modulated("lfm", "linear chirp, up or down", "Richards, chapter 4", {**_NARROW, **_EITHER}, law=laws.linear),
    Modulated("lfm_up", "linear chirp, up", "Richards, chapter 4", {**_NARROW, **_UP}, law=laws.linear),
    Modulated("lfm_down", "linear chirp, down", "Richards, chapter 4", {**_NARROW, **_DOWN}, law=laws.linear),
    Modulated("triangle", "triangular FMCW", "Pace, chapter 4", _NARROW, law=laws.triangle),
    Modulated(
        "nlfm",
        "nonlinear chirp, Hamming spectrum",
        "Richards, chapter 4",
        {**_WIDE, **_EITHER},
        law=laws.nonlinear,
    ),
    Modulated(
        "stepped",
        "stepped frequency",
        "Richards, chapter 4",
        {**_CARRIER, "bandwidth": Uniform(1 / 16, 1 / 8), "steps": Choice((4, 5, 6, 7, 8))},
        law=laws.stepped,
    ),
    Modulated(
        "costas",
        "Costas hops",
        "Pace, chapter 6; Costas 1984",
        {
            "carrier": Choice((0.0,)),
            "base": Uniform(1 / 30, 1 / 24),
            "hops": Choice(laws.COSTAS_ORDERS),
            "share": Uniform(0.0, 1.0),
        },
        law=laws.costas,
    ),
    Coded(
        "barker",
        "Barker code, two phases",
        "Levanon & Mozeson, chapter 6",
        _CARRIER,
        codes=[barker(length) for length in (7, 11, 13)],
        cycles=(8, 9, 10, 11, 12),
    ),
    Coded(
        "polyphase_barker",
        "polyphase Barker code",
        "Golomb & Scholtz 1965; Friese 1996",
        _CARRIER,
        codes=[np.array(code) for code in POLYPHASE_BARKER],
        cycles=(8, 9, 10, 11, 12),
    ),
    Coded("frank", "Frank code", "Frank 1963", _CARRIER, codes=[frank(order) for order in (6, 7, 8)], cycles=(2, 3)),
    Coded("p1", "P1 code", "Pace, chapter 5", _CARRIER, codes=[p1(order) for order in (6, 7, 8)], cycles=(2, 3)),
    Coded("p2", "P2 code", "Pace, chapter 5", _CARRIER, codes=[p2(order) for order in (6, 8)], cycles=(2, 3)),
    Coded("p3", "P3 code", "Pace, chapter 5", _CARRIER, codes=[p3(length) for length in (36, 49, 64)], cycles=(2, 3)),
    Coded("p4", "P4 code", "Pace, chapter 5", _CARRIER, codes=[p4(length) for length in (36, 49, 64)], cycles=(2, 3)),
    Modulated("t1", "polytime code T1", "Pace, chapter 5", _SEGMENTS, law=laws.t1),
    Modulated("t2", "polytime code T2", "Pace, chapter 5", _SEGMENTS, law=laws.t2),
    Modulated("t3", "polytime code T3", "Pace, chapter 5", {**_POLYTIME, **_WIDE}, law=laws.t3),
    Modulated("t4", "polytime code T4", "Pace, chapter 5", {**_POLYTIME, **_WIDE}, law=laws.t4),
    RandomCoded("bpsk", "BPSK, random chips", "Levanon & Mozeson, chapter 6", _CARRIER, states=2, chip=Integers(8, 24)),
    RandomCoded("qpsk", "QPSK, random chips", "Levanon & Mozeson, chapter 6", _CARRIER, states=4, chip=Integers(8, 24)),
    NoiseRadar("noise", "noise radar", "Pace, chapter 7", _CARRIER),
)

WAVEFORMS: dict[str, AbstractWaveform] = {waveform.name: waveform for waveform in _ALL}

TWELVE = ("lfm", "costas", "barker", "frank", "p1", "p2", "p3", "p4", "t1", "t2", "t3", "t4")
"""The twelve classes that the literature on low probability of intercept compares."""

ALIKE = ("frank", "p1", "p3", "p4")
"""Classes that are nearly the same pulse on another carrier: scored merged as well. The cross-ambiguity of Frank and
P3, and of P1 and P4, is 0.95."""


def waveform(name: str) -> AbstractWaveform:
    """The class of this name. Raises `ValueError` for another, with the nearest."""
    if name not in WAVEFORMS:
        near = difflib.get_close_matches(name, WAVEFORMS, n=1)
        hint = f"did you mean {near[0]!r}? It must be" if near else "it must be"
        raise ValueError(f"no class of pulses {name!r}: {hint} one of {', '.join(WAVEFORMS)}")
    return WAVEFORMS[name]


def merged(classes: Sequence[str]) -> tuple[int, ...]:
    """For each class the index of the class that it counts as where those of `ALIKE` are one.

    >>> merged(("lfm", "frank", "p1"))
    (0, 1, 1)
    """
    first = next((index for index, name in enumerate(classes) if name in ALIKE), 0)
    return tuple(first if name in ALIKE else index for index, name in enumerate(classes))
