"""Subcarriers, training sequences, pilots and OFDM symbols (17.3.3, 17.3.5.9, 19.3.9, 19.3.11.10).

The transform between time and frequency is a unitary FFT of 64 points: noise has the same variance per sample and per
subcarrier, and K subcarriers of unit power give samples of power K / 64.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy.rates import Rate
from wireless.ofdm.phy.scrambler import sequence

SAMPLE_RATE = 20e6
FFT = 64
PILOTS = (-21, -7, 7, 21)

_LEFT = "++--++-+-++++++--++-+-++++"  # k = -26 .. -1 of the long training field
_RIGHT = "+--++-+-+-----++--+-+-++++"  # k = 1 .. 26


def _signs(text: str) -> NDArray[np.complex64]:
    return np.array([1 if sign == "+" else -1 for sign in text], np.complex64)


@cache
def used(ht: bool = False) -> NDArray[np.int64]:
    """Indices k of the used subcarriers in ascending order: 52 in -26..26, or in HT 56 in -28..28; 0 is not used."""
    edge = 28 if ht else 26
    return np.concatenate([np.arange(-edge, 0), np.arange(1, edge + 1)])


@cache
def pilot_positions(ht: bool = False) -> NDArray[np.int64]:
    """Positions of the four pilots in `used`."""
    return np.flatnonzero(np.isin(used(ht), PILOTS))


@cache
def data_positions(ht: bool = False) -> NDArray[np.int64]:
    """Positions of the data subcarriers in `used`: 48, or 52 in HT."""
    return np.flatnonzero(~np.isin(used(ht), PILOTS))


@cache
def ltf(ht: bool = False) -> NDArray[np.complex64]:
    """The long training symbol on the used subcarriers, +-1: (52,), or the HT-LTF (56,) with two more at each edge."""
    return _signs("++" + _LEFT + _RIGHT + "--") if ht else _signs(_LEFT + _RIGHT)


@cache
def stf() -> NDArray[np.complex64]:
    """The short training symbol on the 52 used subcarriers: sqrt(13 / 6) (+-1 +-j) on every fourth."""
    points = np.zeros(52, np.complex64)
    at = [-24, -20, -16, -12, -8, -4, 4, 8, 12, 16, 20, 24]
    points[np.searchsorted(used(), at)] = np.sqrt(13 / 6) * (1 + 1j) * _signs("+-+--+" + "--++++")
    return points


def pilots(first: int, symbols: int, ht: bool = False) -> NDArray[np.float32]:
    """Pilots (symbols, 4) of consecutive symbols, +-1.

    `first` counts polarities p_n: SIGNAL has p_0, DATA begins with p_1, HT-SIG has p_1 and p_2, HT DATA begins with
    p_3 and rotates the pattern 1 1 1 -1 by one place each symbol.
    """
    n = np.arange(symbols)
    polarity = 1 - 2 * sequence(0b1111111, first + symbols)[first:].astype(np.float32)
    pattern = np.array([1, 1, 1, -1], np.float32)
    rotated = pattern[(n[:, None] + np.arange(4)) % 4] if ht else pattern[None]
    return (polarity[:, None] * rotated).astype(np.float32)


def symbols(data: NDArray[np.complex64], first: int, ht: bool = False) -> NDArray[np.complex64]:
    """Data points (batch, S, D) with pilots inserted: (batch, S, K)."""
    points = np.empty((*data.shape[:-1], len(used(ht))), np.complex64)
    points[..., data_positions(ht)] = data
    points[..., pilot_positions(ht)] = pilots(first, data.shape[-2], ht)
    return points


def to_time(points: NDArray[np.complex64], guard: int = 16) -> NDArray[np.complex64]:
    """Samples of OFDM symbols, each with its cyclic prefix: (batch, S, K) -> (batch, S * (guard + 64))."""
    bins = np.zeros((*points.shape[:-1], FFT), np.complex64)
    bins[..., used(points.shape[-1] == 56) % FFT] = points
    body = np.fft.ifft(bins, norm="ortho").astype(np.complex64)
    samples = np.concatenate([body[..., FFT - guard :], body], axis=-1)
    return samples.reshape(*points.shape[:-2], -1)


def to_frequency(samples: NDArray[np.complex64], guard: int = 16, ht: bool = False) -> NDArray[np.complex64]:
    """Inverts `to_time`: (batch, S * (guard + 64)) -> (batch, S, K); the cyclic prefix is discarded."""
    body = samples.reshape(*samples.shape[:-1], -1, guard + FFT)[..., guard:]
    return np.fft.fft(body, norm="ortho")[..., used(ht) % FFT].astype(np.complex64)


@cache
def preamble() -> NDArray[np.complex64]:
    """The legacy preamble, 320 samples: ten short training symbols of 16, a guard of 32, two long ones of 64."""
    short = to_time(stf()[None, None], 0)[0]
    long = to_time(ltf()[None, None], 0)[0]
    return np.concatenate([np.resize(short, 160), long[32:], long, long])


@cache
def ht_preamble() -> NDArray[np.complex64]:
    """HT-STF and HT-LTF, 160 samples: five short training symbols, then a long one with its cyclic prefix."""
    short = to_time(stf()[None, None], 0)[0]
    return np.concatenate([np.resize(short, 80), to_time(ltf(True)[None, None])[0]])


def data_pilots(rate: Rate, symbols: int) -> NDArray[np.float32]:
    """Pilots (symbols, 4) of the DATA symbols at `rate`."""
    return pilots(3 if rate.ht else 1, symbols, rate.ht)
