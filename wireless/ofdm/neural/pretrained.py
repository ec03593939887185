"""Neural blocks with trained weights: safetensors files written by `wireless.ofdm.training.pretrain`."""

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
    return NeuralEstimator.of(from_bytes(DelayGate(), weights_file("neural")))


@cache
def wide_estimator() -> NeuralEstimator:
    """The delay gate of 5542 weights, `neural-5k`."""
    return NeuralEstimator.of(from_bytes(DelayGate(WIDE), weights_file("neural-5k")), "neural-5k")


@cache
def dense_estimator() -> DenseEstimator:
    """The fully connected network, `dense`."""
    return DenseEstimator(from_bytes(DenseNet(), weights_file("dense")))


@cache
def neural_demapper() -> NeuralDemapper:
    """The context demapper, `neural`."""
    return NeuralDemapper(from_bytes(ContextNet(), weights_file("demapper")))


@cache
def neural_decoder() -> NeuralDecoder:
    """The syndrome decoder, `neural`."""
    return NeuralDecoder(from_bytes(SyndromeNet(), weights_file("decoder")))


def weights_file(name: str) -> bytes:
    """The contents of the safetensors file with this name."""
    return files("wireless.ofdm.neural").joinpath("pretrained", f"{name}.safetensors").read_bytes()
