"""Wiener estimation in the delay domain, with a reliability for every subcarrier and a prior for every tap."""

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from wireless.ofdm.channel.profile import response
from wireless.ofdm.receiver.estimators import ChannelEstimate


class Prior(NamedTuple):
    """The prior distribution of a channel `F t + r`: independent taps t, and white power r outside of them."""

    precision: NDArray[np.float32]
    """One over the mean power of each tap at whole samples from 0 on, `(batch, taps)`."""
    rest: NDArray[np.float32]
    """Mean power per subcarrier outside the span of these taps, `(batch,)`; taken as white."""


def wiener(ls: NDArray[np.complex64], noise_var: NDArray[np.float32], prior: Prior) -> ChannelEstimate:
    """The channel's posterior mean and variance from one noisy observation of every subcarrier, `(batch, used)`.

    `ls = F t + r + n` with `t[l] ~ CN(0, 1 / precision[l])`, `r ~ CN(0, rest)` and `n[k] ~ CN(0, noise_var[k])`, where
    `noise_var` is `(batch, used)`: some subcarriers may be observed more precisely than others.

        Q = F^H D F + diag(precision),  D = diag(1 / (noise_var + rest)),  t = Q^-1 F^H D ls
        h_hat = (1 - a) F t + a ls,  err_var = (1 - a)^2 diag(F Q^-1 F^H) + a noise_var,  a = rest / (rest + noise_var)

    With `rest = 0` and the true powers it equals `R (R + diag(noise_var))^-1 ls` for `R = F diag(P) F^H`, at 16 x 16
    instead of 52 x 52. F^H D F is Toeplitz, and the variance needs only the sums along the diagonals of Q^-1: neither
    costs a full product.
    """
    h_hat, err_var = np.empty(ls.shape, np.complex64), np.empty(ls.shape, np.float32)
    f = response(ls.shape[1], np.arange(prior.precision.shape[1]))
    _wiener(ls, noise_var, prior.precision, prior.rest, f, h_hat, err_var)
    return ChannelEstimate(h_hat, err_var)


@njit(cache=True, nogil=True, fastmath=True, parallel=True)
def _wiener(ls, noise_var, precision, rest, f, h_hat, err_var):  # type: ignore[no-untyped-def]
    used, taps = f.shape
    for packet in prange(ls.shape[0]):
        # Columns of F, conjugated, against the weights: the first column of the Toeplitz matrix and the right side.
        column, right = np.zeros(taps, np.complex128), np.zeros(taps, np.complex128)
        for k in range(used):
            weight = 1.0 / (noise_var[packet, k] + rest[packet])
            for d in range(taps):
                column[d] += weight * np.conj(f[k, d])
                right[d] += weight * np.conj(f[k, d]) * ls[packet, k]
        q = np.empty((taps, taps), np.complex128)
        for i in range(taps):
            for j in range(taps):
                q[i, j] = column[i - j] if i >= j else np.conj(column[j - i])
            q[i, i] += precision[packet, i]
        inverse = _inverse(q)
        t = np.zeros(taps, np.complex128)
        lag = np.zeros(taps, np.complex128)
        for i in range(taps):
            for j in range(taps):
                t[i] += inverse[i, j] * right[j]
                if i >= j:
                    lag[i - j] += inverse[i, j]
        for k in range(used):
            smooth, spread = 0j, lag[0].real
            for d in range(taps):
                smooth += f[k, d] * t[d]
                if d:
                    spread += 2.0 * (f[k, d] * lag[d]).real
            a = rest[packet] / (rest[packet] + noise_var[packet, k])
            h_hat[packet, k] = (1.0 - a) * smooth + a * ls[packet, k]
            err_var[packet, k] = max((1.0 - a) ** 2 * spread + a * noise_var[packet, k], 0.0)


@njit(cache=True, nogil=True)
def _inverse(q):  # type: ignore[no-untyped-def]
    """The inverse of a Hermitian positive-definite matrix, by Gauss-Jordan without pivoting, which it does not need."""
    n = q.shape[0]
    inverse = q.copy()
    for p in range(n):
        scale = 1.0 / inverse[p, p]
        for j in range(n):
            inverse[p, j] *= scale
        inverse[p, p] = scale
        for i in range(n):
            if i != p:
                factor = inverse[i, p]
                for j in range(n):
                    if j != p:
                        inverse[i, j] -= factor * inverse[p, j]
                inverse[i, p] = -factor * scale
    return inverse
