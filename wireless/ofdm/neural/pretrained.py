"""The neural blocks by name: trained once by `wireless.ofdm.training.pretrain`, kept as safetensors beside the code."""

from functools import cache
from importlib.resources import files

from shared.weights.files import from_bytes
from wireless.ofdm.neural import (
    ContextNet,
    DelayGate,
    DenseEstimator,
    DenseNet,
    NeuralDecoder,
    NeuralDemapper,
    NeuralEstimator,
    SyndromeNet,
)
from wireless.ofdm.neural.estimator import WIDE


@cache
def neural_estimator() -> NeuralEstimator:
    """The delay gate of 832 weights, `neural`.

    >>> neural_estimator().name
    'neural'
    """
    return NeuralEstimator.of(from_bytes(DelayGate(), kept("neural")))


@cache
def wide_estimator() -> NeuralEstimator:
    """The delay gate of 5542 weights, `neural-5k`."""
    return NeuralEstimator.of(from_bytes(DelayGate(WIDE), kept("neural-5k")), "neural-5k")


@cache
def dense_estimator() -> DenseEstimator:
    """The network without structure, `dense`."""
    return DenseEstimator(from_bytes(DenseNet(), kept("dense")))


@cache
def neural_demapper() -> NeuralDemapper:
    """The context demapper, `neural`."""
    return NeuralDemapper(from_bytes(ContextNet(), kept("demapper")))


@cache
def neural_decoder() -> NeuralDecoder:
    """The syndrome decoder, `neural`."""
    return NeuralDecoder(from_bytes(SyndromeNet(), kept("decoder")))


def kept(name: str) -> bytes:
    """The file of weights of this name."""
    return files("wireless.ofdm.neural").joinpath("pretrained", f"{name}.safetensors").read_bytes()
