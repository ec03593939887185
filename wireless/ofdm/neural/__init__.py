"""Neural blocks: each stands where a legacy block stands, trained by `wireless.ofdm.train`."""

from wireless.ofdm.neural.estimator import DelayGate, NeuralEstimator

__all__ = ["DelayGate", "NeuralEstimator"]
