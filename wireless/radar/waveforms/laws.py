"""Phases in turns of pulses whose frequency or phase is a formula of time.

`k` counts the samples of the pulse from 0, `x = k / width` is from 0 to 1, `bandwidth` is in cycles per sample; all
frequencies are relative to the carrier. Pace, *Detecting and Classifying Low Probability of Intercept Radar*, 2nd ed.:
chapter 4 (FMCW), 5 (polytime codes T1 to T4), 6 (Costas hops); Richards, *Fundamentals of Radar Signal Processing*, 2nd
ed., chapter 4 (chirps, and NLFM by stationary phase).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from wireless.radar.waveforms.codes import costas_arrays
from wireless.radar.waveforms.waveform import Parameters, Turns


def constant(k: Turns, p: Parameters) -> Turns:
    """No modulation."""
    return np.zeros_like(k)


def linear(k: Turns, p: Parameters) -> Turns:
    """Frequency from -B/2 to B/2, or back where `direction` is -1: `B k^2 / 2 T - B k / 2`.

    Half the square: the frequency is the derivative, so that `exp(2 pi j (f + B t / T) t)` would sweep 2 B.
    """
    turns: Turns = p["direction"] * p["bandwidth"] * (k * k / (2 * p["width"]) - k / 2)
    return turns


def triangle(k: Turns, p: Parameters) -> Turns:
    """Frequency from -B/2 to B/2 in the first half, and back: FMCW with a triangle."""
    x = k / p["width"]
    rise, fall = x * x - x / 2, 1.5 * x - x * x - 0.5
    return p["bandwidth"] * p["width"] * np.where(x < 0.5, rise, fall)


def nonlinear(k: Turns, p: Parameters) -> Turns:
    """Frequency by stationary phase: a spectrum of Hamming's shape, whose side lobes lie below -30 dB.

    The time spent at a frequency is proportional to the spectrum there, so that the frequency at time x is the inverse
    of the cumulative spectrum.
    """
    table = _integral_of_inverse()
    at = k / p["width"] * (len(table) - 1)
    below = at.astype(np.int64)
    low, high = np.take(table, below), np.take(table, below + 1)
    return p["direction"] * p["bandwidth"] * p["width"] * (low + (at - below) * (high - low))


@cache
def _integral_of_inverse(points: int = 1 << 14) -> NDArray[np.float64]:
    """The integral over x of f(x), by the trapezoid rule, at points from x = 0 to 1, and one more.

    The cumulative Hamming spectrum over -1/2 <= f <= 1/2 is x = 1/2 + f + a sin(2 pi f) with a = 0.46 / 0.54 / 2 pi.
    """
    f = np.linspace(-0.5, 0.5, 1 << 16)
    x = np.linspace(0.0, 1.0, points)
    inverse = np.interp(x, 0.5 + f + 0.46 / 0.54 / (2 * np.pi) * np.sin(2 * np.pi * f), f)
    integral = np.concatenate([[0.0], np.cumsum((inverse[1:] + inverse[:-1]) / 2) / (points - 1)])
    return np.append(integral, integral[-1])


def stepped(k: Turns, p: Parameters) -> Turns:
    """`steps` equal frequencies in rising order across the bandwidth, `f_i k` in step i."""
    step = np.floor((k + 0.5) * p["steps"] / p["width"])
    return p["bandwidth"] * ((step + 0.5) / p["steps"] - 0.5) * k


def costas(k: Turns, p: Parameters) -> Turns:
    """Hops `h_i f_0` with h a Costas array, `h_i f_0 k` in hop i: no carrier but the hops themselves."""
    arrays, longest = _arrays()
    hop = ((k + 0.5) * p["hops"] / p["width"]).astype(np.int64)
    # Arrays of one order stand together, and a share of the order's picks one.
    first, count = _first_of_order()
    row = first[p["hops"]] + (p["share"] * count[p["hops"]]).astype(np.int64)
    turns: Turns = p["base"] * np.take(arrays, row * longest + hop) * k
    return turns


COSTAS_ORDERS = (3, 4, 5, 6)


@cache
def _arrays() -> tuple[NDArray[np.float64], int]:
    longest = max(COSTAS_ORDERS)
    rows = [(*array, *[0] * (longest - order)) for order in COSTAS_ORDERS for array in costas_arrays(order)]
    return np.array(rows, dtype=float), longest


@cache
def _first_of_order() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """By order: the row of its first array, and how many it has."""
    count = np.array([len(costas_arrays(order)) if order in COSTAS_ORDERS else 0 for order in range(7)])
    return np.cumsum(count) - count, count


def t1(k: Turns, p: Parameters) -> Turns:
    """`floor((K x - j) j m) / m` in segment j of K: j cycles, quantised to m states."""
    at = p["segments"] * k / p["width"]
    segment = np.floor(at)
    return np.floor((at - segment) * segment * p["states"]) / p["states"]


def t2(k: Turns, p: Parameters) -> Turns:
    """`floor((K x - j)(2 j - K + 1) m / 2) / m` in segment j of K: cycles from -(K - 1) / 2 to (K - 1) / 2."""
    at = p["segments"] * k / p["width"]
    segment = np.floor(at)
    fine = (at - segment) * (2 * segment - p["segments"] + 1)
    turns: Turns = np.floor(fine * p["states"] / 2) / p["states"]
    return turns


def t3(k: Turns, p: Parameters) -> Turns:
    """`floor(m D x^2 / 2) / m` with D the cycles B T: a chirp from the carrier on, quantised to m states."""
    x = k / p["width"]
    return np.floor(p["states"] * p["bandwidth"] * p["width"] * x * x / 2) / p["states"]


def t4(k: Turns, p: Parameters) -> Turns:
    """`floor(m D x^2 / 2 - m D x / 2) / m`: as T3, around the carrier. The linear term has the bandwidth, not the
    carrier."""
    x = k / p["width"]
    return np.floor(p["states"] * p["bandwidth"] * p["width"] * (x * x - x) / 2) / p["states"]
