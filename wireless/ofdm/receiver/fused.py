"""The legacy chain fused into two passes over memory: bits to received subcarriers, and received subcarriers to bits.

`transmit_and_fade` equals encode, puncture, interleave, map, multiply with the channel and add noise; `decide` equals
max-log, deinterleave, depuncture, quantise and Viterbi, each block as in its own file. Neither stores intermediate
results of the whole batch. A link uses them wherever no block is replaced.
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


def transmit_and_fade(
    bits: NDArray[np.uint8], h: NDArray[np.complex64], n0: float, rate: Rate, rng: Generator
) -> NDArray[np.complex64]:
    """The received subcarriers: bits (batch, S * N_DBPS) through the channel h (batch, K) -> (batch, S, K).

    Pilots are transmitted as 1; noise has the variance n0.
    """
    y = gaussian((len(bits), bits.shape[1] // rate.info, h.shape[1]), n0, rng)
    _add(encode(bits), 2 * rate.info, _sources(rate), points(rate.bits), h, y)
    return y


def frequency_response(gain: NDArray[np.complex64], f: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """`gain @ f`: (batch, paths) and (paths, K) -> (batch, K).

    Written out because the product is too small for the threads of a linear algebra library to pay.
    """
    h = np.zeros((gain.shape[0], f.shape[1]), np.complex64)
    _frequency_response(gain, f, h)
    return h


def decide(
    y: NDArray[np.complex64],
    h_hat: NDArray[np.complex64],
    noise_var: NDArray[np.float32],
    rate: Rate,
    end: int,
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Bits up to `end`, where the encoder is in state zero: (batch, end).

    `y` is (batch, S, K), `h_hat` and `noise_var` are (batch, K). Pilots are not used. LLRs are quantised with one scale
    for the whole packet, padding included.
    """
    batch, symbols, used = y.shape
    bits = np.empty((batch, end), np.uint8)
    positions = _positions(rate, symbols)[: 2 * end]
    weight = np.zeros((batch, used), np.float32)
    data = grid.data_positions(rate.ht)
    weight[:, data] = 1 / noise_var[:, data]  # zero at the pilots, whose LLRs are then zero as well
    unit = float(abs(levels(rate.bits)).min())

    def work(group: int) -> None:
        part = slice(group * viterbi.LANES, (group + 1) * viterbi.LANES)
        llr = np.zeros((viterbi.LANES, symbols * rate.bits * WIDTH), np.int16)
        sent = symbols * rate.coded
        soft_packets(y[part], h_hat[part], weight[part], unit, rate.bits, viterbi.MEAN * sent, viterbi.LIMIT, llr)
        lanes = np.empty((len(positions), viterbi.LANES), np.int16)
        _reorder(llr, positions, lanes)
        viterbi.decode_lanes(lanes, bits[part])

    viterbi.over_groups(work, -(-batch // viterbi.LANES), threads)
    return bits


@cache
def _sources(rate: Rate) -> NDArray[np.int32]:
    """Indices of the bits of the rate-1/2 code that each used subcarrier carries, (K, bits); -1 at the pilots."""
    sources = np.full((rate.data + 4, rate.bits), -1, np.int32)
    kept = np.flatnonzero(np.resize(PUNCTURING[rate.code], 2 * rate.info))
    sources[grid.data_positions(rate.ht)] = interleave(kept, rate).reshape(-1, rate.bits)
    return sources


@cache
def _positions(rate: Rate, symbols: int) -> NDArray[np.int32]:
    """Positions at which `soft_packets` writes the LLRs, in decoding order, (2 steps,); -1 for punctured bits."""
    k = grid.data_positions(rate.ht)
    one = (np.arange(rate.bits) * WIDTH + k[:, None]).reshape(1, -1)
    transmitted = np.arange(symbols)[:, None] * (rate.bits * WIDTH) + deinterleave(one, rate)
    # Depuncturing writes zeros for punctured bits, so positions count from one on the way through it.
    positions: NDArray[np.int32] = (depuncture(transmitted.reshape(1, -1) + 1, rate.code)[0] - 1).astype(np.int32)
    return positions


@njit(cache=True, nogil=True)
def _frequency_response(gain, f, h):  # type: ignore[no-untyped-def]
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
def _reorder(llr, positions, lanes):  # type: ignore[no-untyped-def]
    for at in range(positions.shape[0]):
        position = positions[at]
        for lane in range(lanes.shape[1]):
            lanes[at, lane] = llr[lane, position] if position >= 0 else 0
