"""Costs of each block by formula: real multiply-accumulates, parameters, and bytes of constants."""

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
"""Real multiply-accumulates in a complex one."""

WORD = 8
"""Word length of a network that is rounded without further training."""

FIT_MACS = 40
"""Multiply-accumulates of the context demapper per subcarrier and round, without its MLP."""


class Cost(NamedTuple):
    """One line of the table; `macs` and `parameters` leave out pruned weights, `bytes` is the storage."""

    block: str
    per: str
    macs: int
    parameters: int
    bytes: int
    measured: str = ""
    """The receiver of the run whose error rate is shown for this block."""


def table(networks: Mapping[str, Mapping[str, Any]]) -> list[Cost]:
    """Legacy blocks, neural blocks, and the neural ones pruned and quantized; all for 52 subcarriers and 16-QAM.

    `networks` is the part of a row's result with this name. Bytes of estimators do not include the 52 x 16 matrix F,
    which all of them share. Robust LMMSE needs one 52 x 52 matrix for every noise level; a delay gate solves a 16 x 16
    system in every pass instead.
    """
    wide, dense, context, syndrome = DelayGate(WIDE), DenseNet(), ContextNet(), SyndromeNet()
    context_macs = sum(p.numel() for p in context.doubt.parameters() if p.ndim > 1) + ROUNDS * FIT_MACS
    return [
        Cost("estimator: LS", "packet", 0, 0, 0, "ls/max-log/soft-viterbi"),
        Cost("estimator: DFT truncation", "packet", 2 * COMPLEX * USED * TAPS, 0, 0, "dft"),
        Cost("estimator: robust LMMSE, each noise level", "packet", COMPLEX * USED**2, 0, 8 * USED**2, "robust"),
        Cost("estimator: Wiener solve that delay gates feed", "packet", wiener_macs(), 0, 0),
        *variants("estimator: delay gate", "packet", DelayGate(), weights(DelayGate()), "estimator", networks),
        Cost("estimator: delay gate of 5.5k", "packet", weights(wide), count(wide), 4 * count(wide), "neural-5k"),
        Cost("estimator: dense", "packet", weights(dense), count(dense), 4 * count(dense), "dense"),
        Cost("demapper: max-log", "subcarrier", 8, 0, 0, "max-log"),
        *variants("demapper: context network", "subcarrier", context, context_macs, "demapper", networks),
        Cost("decoder: Viterbi, additions", "bit", 2 * 64, 0, 0, "neural/max-log/soft-viterbi"),
        *variants("decoder: syndrome network", "bit", syndrome, weights(syndrome), "decoder", networks),
    ]


def variants(
    block: str, per: str, net: nn.Module, macs: int, name: str, networks: Mapping[str, Mapping[str, Any]]
) -> list[Cost]:
    """A network as trained, with units removed, rounded to eight bits, and pruned and quantized."""
    units, packed = networks[f"{name}, fewer units"], networks[f"{name}, packed"]
    pruned = round(weights(net) * packed["sparsity"])
    return [
        Cost(f"{block}, float32", per, macs, count(net), 4 * count(net), f"{name}, float32"),
        Cost(
            f"{block}, fewer units", per, macs - units["macs_gone"], units["parameters"], 4 * units["parameters"],
            f"{name}, fewer units",
        ),
        Cost(f"{block}, {WORD} bits", per, macs, count(net), dense_bytes(net, WORD), f"{name}, {WORD} bits"),
        Cost(
            f"{block}, pruned, {packed['word']} bits", per, macs - pruned, count(net) - pruned, packed["bytes"],
            f"{name}, packed",
        ),
    ]  # fmt: skip


def count(net: nn.Module) -> int:
    """All numbers of a network."""
    return sum(p.numel() for p in net.parameters())


def weights(net: nn.Module) -> int:
    """Weights of a network that are multiplied once per pass, without biases and gains."""
    return sum(p.numel() for name, p in net.named_parameters() if name.endswith("weight"))


def wiener_macs() -> int:
    """Multiply-accumulates of `wiener.wiener` for a packet: right side, Toeplitz column, inverse, product, results."""
    return COMPLEX * (2 * USED * TAPS + TAPS**3 + TAPS**2 + 2 * USED * TAPS)
