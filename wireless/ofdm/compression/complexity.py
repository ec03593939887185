"""What each block costs, counted on paper: multiply-accumulates of real numbers and bytes of constants."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn

from shared.weights.packing import dense_bytes
from wireless.ofdm.channel.profile import TAPS
from wireless.ofdm.neural import ContextNet, DelayGate, DenseNet, SyndromeNet
from wireless.ofdm.neural.demapper import ROUNDS
from wireless.ofdm.neural.estimator import WIDE

USED = 52
COMPLEX = 4
"""Real multiply-accumulates in one of complex numbers."""

WORD = 8
"""Bits of a network that is rounded and not trained again."""

FITS = 40
"""Multiply-accumulates of the context demapper on a subcarrier in one round, besides its network."""


class Cost(NamedTuple):
    """One line of the table; `macs` and `parameters` count what is there, `bytes` what has to be stored."""

    block: str
    per: str
    macs: int
    parameters: int
    bytes: int
    measured: str = ""
    """The receiver of the run that has this block."""


def table(networks: Mapping[str, Mapping[str, Any]]) -> list[Cost]:
    """Legacy blocks, neural ones, and each pruned and quantized; all for 52 subcarriers and 16-QAM.

    `networks` is what a run says of those that it made. The estimators' bytes are what has to be stored besides the
    subcarriers' steering matrix. Robust LMMSE needs one 52 x 52 matrix for every noise level; a delay gate solves a
    16 x 16 system instead, which it shares with every pass.
    """
    wide, dense, context, syndrome = DelayGate(WIDE), DenseNet(), ContextNet(), SyndromeNet()
    judge = sum(p.numel() for p in context.doubt.parameters() if p.ndim > 1) + ROUNDS * FITS
    return [
        Cost("estimator: LS", "packet", 0, 0, 0, "ls/max-log/soft-viterbi"),
        Cost("estimator: DFT truncation", "packet", 2 * COMPLEX * USED * TAPS, 0, 0, "dft"),
        Cost("estimator: robust LMMSE, each noise level", "packet", COMPLEX * USED**2, 0, 8 * USED**2, "robust"),
        Cost("estimator: Wiener solve that delay gates feed", "packet", wiener_macs(), 0, 0),
        *variants("estimator: delay gate", "packet", DelayGate(), weights(DelayGate()), "estimator", networks),
        Cost("estimator: delay gate of 5.5k", "packet", weights(wide), count(wide), 4 * count(wide), "neural-5k"),
        Cost("estimator: dense", "packet", weights(dense), count(dense), 4 * count(dense), "dense"),
        Cost("demapper: max-log", "subcarrier", 8, 0, 0, "max-log"),
        *variants("demapper: context network", "subcarrier", context, judge, "demapper", networks),
        Cost("decoder: Viterbi, additions", "bit", 2 * 64, 0, 0, "neural/max-log/soft-viterbi"),
        *variants("decoder: syndrome network", "bit", syndrome, weights(syndrome), "decoder", networks),
    ]


def variants(
    block: str, per: str, net: nn.Module, macs: int, name: str, networks: Mapping[str, Mapping[str, Any]]
) -> list[Cost]:
    """A network as trained, without some of its units, rounded to eight bits, and pruned in few bits."""
    units, packed = networks[f"{name}, fewer units"], networks[f"{name}, packed"]
    gone = round(weights(net) * packed["sparsity"])
    return [
        Cost(f"{block}, float32", per, macs, count(net), 4 * count(net), f"{name}, float32"),
        Cost(
            f"{block}, fewer units", per, macs - units["macs_gone"], units["parameters"], 4 * units["parameters"],
            f"{name}, fewer units",
        ),
        Cost(f"{block}, {WORD} bits", per, macs, count(net), dense_bytes(net, WORD), f"{name}, {WORD} bits"),
        Cost(
            f"{block}, pruned, {packed['word']} bits", per, macs - gone, count(net) - gone, packed["bytes"],
            f"{name}, packed",
        ),
    ]  # fmt: skip


def count(net: nn.Module) -> int:
    """All numbers of a network."""
    return sum(p.numel() for p in net.parameters())


def weights(net: nn.Module) -> int:
    """Its numbers that a multiplication uses once a pass, biases and gains apart."""
    return sum(p.numel() for name, p in net.named_parameters() if name.endswith("weight"))


def wiener_macs() -> int:
    """`wiener.wiener` for one packet: right side and Toeplitz column, inverse, product, means and variances."""
    return COMPLEX * (2 * USED * TAPS + TAPS**3 + TAPS**2 + 2 * USED * TAPS)
