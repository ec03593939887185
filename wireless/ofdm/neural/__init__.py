"""Neural blocks: networks that replace a legacy estimator, demapper or decoder; some come with trained weights."""

from wireless.ofdm.neural.decoder import NeuralDecoder, SyndromeNet
from wireless.ofdm.neural.demapper import ContextNet, NeuralDemapper
from wireless.ofdm.neural.dense import DenseEstimator, DenseNet
from wireless.ofdm.neural.estimator import DelayGate, NeuralEstimator

__all__ = [
    "ContextNet",
    "DelayGate",
    "DenseEstimator",
    "DenseNet",
    "NeuralDecoder",
    "NeuralDemapper",
    "NeuralEstimator",
    "SyndromeNet",
]
