"""A net on the short-time spectrum: what the literature on low probability of intercept uses most."""

import torch
from torch import Tensor, nn

WINDOW, POINTS, HOP, BINS = 64, 128, 8, 48
"""Samples of a Hann window, points of its transform, samples from one to the next, and positive bins that are kept."""
FLOOR = 1e-2
"""Added to the power before the logarithm."""


class SpectrogramNet(nn.Module):
    """The logarithm of the power spectrum from 0 to 0.375 cycles per sample over time, then separable convolutions."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(WINDOW) / WINDOW**0.5)
        layers: list[nn.Module] = [nn.Conv2d(1, 16, 5, 2, 2, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        inputs = 16
        for outputs, stride in ((32, 1), (32, 2), (64, 1), (64, 2), (128, 1)):
            layers += [nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs)]
            layers += [nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(2 * inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, classes)` of `(B, 2, samples)`."""
        spectrum = torch.stft(
            torch.complex(x[:, 0], x[:, 1]), POINTS, HOP, WINDOW, self.window, onesided=False, return_complex=True
        )[:, :BINS]
        power = spectrum.real.square() + spectrum.imag.square()
        features = self.layers((power + FLOOR).log()[:, None] / 3)
        return torch.as_tensor(self.head(torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)))
