"""The plain chain in two passes over memory: bits to received subcarriers, and received subcarriers to bits.

`arrive` equals encode, puncture, interleave, map, multiply with the channel and add noise; `decide` equals max-log,
deinterleave, depuncture, quantise and Viterbi, each block as in its own file. Between the steps of each nothing as
large as a batch is written. A link runs them wherever no block is replaced.
"""

from functools import cache

import numpy as np
from numba import njit
from numpy.random import Generator
from numpy.typing import NDArray

from wireless.ofdm.channel.noise import gaussian
from wireless.ofdm.phy import grid
from wireless.ofdm.phy.coding import PUNCTURING, depuncture, encode
from wireless.ofdm.phy.constellation import levels, points
from wireless.ofdm.phy.interleaver import deinterleave, interleave
from wireless.ofdm.phy.rates import Rate
from wireless.ofdm.receiver import viterbi
from wireless.ofdm.receiver.demappers import soft_packets

WIDTH = 64
"""Subcarriers of a row of LLRs, the unused ones zero: whole vectors, without a remainder."""


def arrive(
    bits: NDArray[np.uint8], h: NDArray[np.complex64], n0: float, rate: Rate, rng: Generator
) -> NDArray[np.complex64]:
    """What arrives on the used subcarriers: bits (batch, S * N_DBPS), h (batch, K) -> (batch, S, K).

    Pilots are sent as 1; noise has the variance n0.
    """
    y = gaussian((len(bits), bits.shape[1] // rate.info, h.shape[1]), n0, rng)
    _add(encode(bits), 2 * rate.info, _sources(rate), points(rate.bits), h, y)
    return y


def respond(gain: NDArray[np.complex64], f: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """`gain @ f`: (batch, paths) and (paths, K) -> (batch, K).

    A product so small that the threads of a linear algebra library cost more than they give.
    """
    h = np.zeros((gain.shape[0], f.shape[1]), np.complex64)
    _respond(gain, f, h)
    return h


def decide(
    y: NDArray[np.complex64],
    h: NDArray[np.complex64],
    noise: NDArray[np.float32],
    rate: Rate,
    end: int,
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Bits up to `end`, where the code is in state zero: y (batch, S, K), h and noise (batch, K) -> (batch, end).

    Pilots are not used. The scale of the quantised LLRs is that of the whole packet, padding included.
    """
    batch, symbols, used = y.shape
    bits = np.empty((batch, end), np.uint8)
    places = _places(rate, symbols)[: 2 * end]
    weight = np.zeros((batch, used), np.float32)
    data = grid.data_places(rate.ht)
    weight[:, data] = 1 / noise[:, data]  # zero at the pilots, whose LLRs are then zero as well
    unit = float(abs(levels(rate.bits)).min())

    def work(group: int) -> None:
        part = slice(group * viterbi.LANES, (group + 1) * viterbi.LANES)
        llr = np.zeros((viterbi.LANES, symbols * rate.bits * WIDTH), np.int16)
        sent = symbols * rate.coded
        soft_packets(y[part], h[part], weight[part], unit, rate.bits, viterbi.MEAN * sent, viterbi.LIMIT, llr)
        lanes = np.empty((len(places), viterbi.LANES), np.int16)
        _deal(llr, places, lanes)
        viterbi.decode_lanes(lanes, bits[part])

    viterbi.over_groups(work, -(-batch // viterbi.LANES), threads)
    return bits


@cache
def _sources(rate: Rate) -> NDArray[np.int32]:
    """Which of a symbol's bits of the rate-1/2 code each used subcarrier carries, (K, bits); -1 at the pilots."""
    sources = np.full((rate.data + 4, rate.bits), -1, np.int32)
    kept = np.flatnonzero(np.resize(PUNCTURING[rate.code], 2 * rate.info))
    sources[grid.data_places(rate.ht)] = interleave(kept, rate).reshape(-1, rate.bits)
    return sources


@cache
def _places(rate: Rate, symbols: int) -> NDArray[np.int32]:
    """Where `soft_packets` puts the LLRs in the order of the decoder, (2 steps,); -1 for what is not sent."""
    k = grid.data_places(rate.ht)
    one = (np.arange(rate.bits) * WIDTH + k[:, None]).reshape(1, -1)
    sent = np.arange(symbols)[:, None] * (rate.bits * WIDTH) + deinterleave(one, rate)
    # Depuncturing writes zeros where nothing was sent, so places count from one on the way through it.
    places: NDArray[np.int32] = (depuncture(sent.reshape(1, -1) + 1, rate.code)[0] - 1).astype(np.int32)
    return places


@njit(cache=True, nogil=True)
def _respond(gain, f, h):  # type: ignore[no-untyped-def]
    for packet in range(gain.shape[0]):
        row = h[packet]
        for path in range(gain.shape[1]):
            one, turn = gain[packet, path], f[path]
            for k in range(row.shape[0]):
                row[k] += one * turn[k]


@njit(cache=True, nogil=True)
def _add(coded, count, sources, table, h, y):  # type: ignore[no-untyped-def]
    for packet in range(y.shape[0]):
        for symbol in range(y.shape[1]):
            bits = coded[packet, symbol * count : (symbol + 1) * count]
            for k in range(y.shape[2]):
                if sources[k, 0] < 0:
                    y[packet, symbol, k] += h[packet, k]
                else:
                    label = 0
                    for bit in range(sources.shape[1]):
                        label = 2 * label + bits[sources[k, bit]]
                    y[packet, symbol, k] += h[packet, k] * table[label]


@njit(cache=True, nogil=True)
def _deal(llr, places, lanes):  # type: ignore[no-untyped-def]
    for at in range(places.shape[0]):
        place = places[at]
        for lane in range(lanes.shape[1]):
            lanes[at, lane] = llr[lane, place] if place >= 0 else 0
