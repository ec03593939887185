"""Hard decision feedback: decoded bits are encoded and mapped again and serve as further training symbols."""

import numpy as np
from numpy.typing import NDArray

from wireless.ofdm.phy.coding import encode, puncture
from wireless.ofdm.phy.constellation import modulate
from wireless.ofdm.phy.interleaver import interleave
from wireless.ofdm.phy.rates import Rate
from wireless.ofdm.receiver.estimators import Observation


def reencode(bits: NDArray[np.uint8], rate: Rate) -> NDArray[np.complex64]:
    """The points that carry these bits, tail included: uint8 (batch, symbols * N_DBPS) -> (batch, symbols, D)."""
    coded = puncture(encode(bits), rate.code).reshape(bits.shape[0], -1, rate.coded)
    return modulate(interleave(coded, rate), rate.bits)


def decision_directed_update(
    observation: Observation, y: NDArray[np.complex64], x: NDArray[np.complex64], data: NDArray[np.int64]
) -> Observation:
    """The observation updated with S decided symbols; with correct decisions, as from `training_symbols + S` symbols.

    With T training symbols, `(T ls + sum_s y_s conj(x_s)) / (T + sum_s |x_s|^2)` on every subcarrier: the least squares
    estimate from all symbols. `y` is (batch, S, K) with pilots divided by the transmitted ones, `x` (batch, S, D) holds
    the decided points, and `data` the positions of the D data subcarriers among the K. The error variance differs
    between subcarriers with `sum |x|^2`; the observation holds its mean.
    """
    sent = np.ones_like(y)
    sent[..., data] = x
    matched = np.sum(y * sent.conj(), axis=1) + np.float32(observation.training_symbols) * observation.ls
    energy = np.sum(np.abs(sent) ** 2, axis=1) + np.float32(observation.training_symbols)
    return observation._replace(ls=matched / energy, training_symbols=observation.training_symbols + y.shape[1])
