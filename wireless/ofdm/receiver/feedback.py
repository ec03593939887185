"""Decision feedback: decoded bits, encoded and mapped again, are more training symbols."""

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy.coding import encode, puncture
from wireless.ofdm.phy.constellation import modulate
from wireless.ofdm.phy.interleaver import interleave
from wireless.ofdm.phy.rates import Rate
from wireless.ofdm.receiver.estimators import Observation


def remap(bits: NDArray[np.uint8], rate: Rate) -> NDArray[np.complex64]:
    """The points that carry these bits, tail included: uint8 (batch, symbols * N_DBPS) -> (batch, symbols, D)."""
    coded = puncture(encode(bits), rate.code).reshape(bits.shape[0], -1, rate.coded)
    return modulate(interleave(coded, rate), rate.bits)


def observe_again(
    seen: Observation, y: NDArray[np.complex64], x: NDArray[np.complex64], data: NDArray[np.int64]
) -> Observation:
    """The observation that S decided symbols add to; with x correct, its error is as that of `looks + S` symbols.

    On every subcarrier `(looks ls + sum_s y_s conj(x_s)) / (looks + sum_s |x_s|^2)`: the least squares estimate from
    all symbols. `y` is (batch, S, K), whose pilots are divided by what was sent in them, `x` (batch, S, D), and `data`
    says where the D stand among the K. The error variance differs from subcarrier to subcarrier with `sum |x|^2`; the
    observation states its mean.
    """
    sent = np.ones_like(y)
    sent[..., data] = x
    matched = np.sum(y * sent.conj(), axis=1) + np.float32(seen.looks) * seen.ls
    energy = np.sum(np.abs(sent) ** 2, axis=1) + np.float32(seen.looks)
    return seen._replace(ls=matched / energy, looks=seen.looks + y.shape[1])
