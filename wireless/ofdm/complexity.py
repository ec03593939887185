"""What each block costs, counted on paper: multiply-accumulates of real numbers and bytes of constants."""

from typing import NamedTuple

from wireless.ofdm.estimators import TAPS
from wireless.ofdm.neural.decoder import SyndromeNet
from wireless.ofdm.neural.demapper import ROUNDS, ContextNet
from wireless.ofdm.neural.estimator import DelayGate

USED = 52
COMPLEX = 4
"""Real multiply-accumulates in one of complex numbers."""


class Cost(NamedTuple):
    """One line of the table."""

    block: str
    per: str
    macs: int
    parameters: int
    bytes: int


def table(packed_bytes: int, sparsity: float) -> list[Cost]:
    """Legacy blocks, neural ones, and the compressed estimator; all for 52 subcarriers and 16-QAM.

    The estimators' bytes are what has to be stored besides the subcarriers' steering matrix. Robust LMMSE needs one
    52 x 52 matrix for every noise level; ours solves a 16 x 16 system instead, which it shares with every pass.
    """
    gate = sum(p.numel() for p in DelayGate().parameters())
    weights = sum(p.numel() for p in DelayGate().parameters() if p.ndim > 1)
    context = sum(p.numel() for p in ContextNet().parameters())
    doubt = sum(p.numel() for p in ContextNet().doubt.parameters() if p.ndim > 1)
    syndrome = SyndromeNet()
    convolutions = sum(p.numel() for p in syndrome.parameters() if p.ndim > 1)
    decoder = sum(p.numel() for p in syndrome.parameters())
    there = round(weights * (1 - sparsity))
    kept = there + gate - weights
    return [
        Cost("estimator: robust LMMSE, each noise level", "packet", COMPLEX * USED**2, 0, 8 * USED**2),
        Cost("estimator: Wiener solve that both networks feed", "packet", wiener_macs(), 0, 0),
        Cost("estimator: delay gate, float32", "packet", weights, gate, 4 * gate),
        Cost("estimator: delay gate, pruned", "packet", there, kept, 4 * kept + -(-weights // 8)),
        Cost("estimator: delay gate, quantized to 4 bits", "packet", weights, gate, -(-gate * 4 // 8) + 4),
        Cost("estimator: delay gate, pruned and quantized", "packet", there, kept, packed_bytes),
        Cost("demapper: max-log", "subcarrier", 8, 0, 0),
        Cost("demapper: context network, float32", "subcarrier", doubt + ROUNDS * 40, context, 4 * context),
        Cost("decoder: Viterbi, additions", "bit", 2 * 64, 0, 0),
        Cost("decoder: syndrome network, float32", "bit", convolutions, decoder, 4 * decoder),
    ]


def wiener_macs() -> int:
    """`wiener.wiener` for one packet: right side and Toeplitz column, inverse, product, means and variances."""
    return COMPLEX * (2 * USED * TAPS + TAPS**3 + TAPS**2 + 2 * USED * TAPS)
