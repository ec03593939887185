"""Frames on the air: what the tests of several files send, and what happens to it on the way."""

import numpy as np

from wireless.ofdm.phy.mac import fcs
from wireless.ofdm.phy.rates import MCS, RATES
from wireless.ofdm.phy.transmit import transmit

EVERY = (*RATES.values(), *MCS, *(rate.short() for rate in MCS))
HEADER = bytes.fromhex("88023000e490 7e15 2a16e8de 2790 6e420123 4567 89ab3012".replace(" ", ""))


def psdu(size, rng):
    """A QoS data frame of `size` bytes with its frame check sequence; below 30 bytes its header is cut short."""
    body = (HEADER + rng.bytes(max(size - 4 - len(HEADER), 0)))[: max(size - 4, 0)]
    return body + fcs(body)


def on_air(pieces, gap=200, cfo_hz=0.0, snr_db=None, rng=None):
    """Frames with `gap` samples around each, at a carrier offset, in noise of N0 per sample and subcarrier."""
    silence = np.zeros(gap, np.complex64)
    x = np.concatenate([part for piece in pieces for part in (silence, piece)] + [silence])
    x = x * np.exp(2j * np.pi * cfo_hz / 20e6 * np.arange(len(x)))
    if snr_db is not None:
        size = (len(x), 2)
        x = x + np.sqrt(0.5 * 10 ** (-snr_db / 10)) * rng.normal(size=size).view(np.complex128)[:, 0]
    return x.astype(np.complex64)


def sent(rate, size, rng, **air):
    """One frame's bytes, and the samples that hold it."""
    data = psdu(size, rng)
    return data, on_air([transmit(data, rate, int(rng.integers(1, 128)))], rng=rng, **air)
