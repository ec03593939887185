"""Neural blocks: each stands where a legacy block stands, trained by `wireless.ofdm.training.blocks`."""

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
