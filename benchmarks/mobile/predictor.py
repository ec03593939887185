"""Predicted times of nets and layers beside the measured ones."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from benchmarks.mobile.nets import darknet, lite0
from benchmarks.mobile.settings import MobileSettings
from mobile.lowering.calls import Lowered
from mobile.lowering.formats import FORMATS
from mobile.lowering.lower import lower
from mobile.lowering.lower_floats import lower_floats
from mobile.pricing.calibration import calibrated, timings
from mobile.pricing.latency import Latency
from mobile.pricing.net import net_latency
from shared.f8net.convert import from_torch
from shared.importers.graph import TracedGraph
from shared.lab import JSON, Context

FAMILIES = {
    "lite0": (lambda scale: lite0(scale / 2, 100), (3, 96, 96)),
    "darknet": (lambda scale: darknet(int(16 * scale), 10), (3, 64, 64)),
}
"""By a scale of their widths. Chosen before any of their times was looked at; no law is fitted on nets of them."""
SCALES = (0.75, 1.0, 1.5, 2.0)


def predicted(cell: MobileSettings, context: Context) -> Mapping[str, JSON]:
    """Whole nets of a family in integers of all formats and in floats, and slopes of the price beside measured ones."""
    torch.manual_seed(int(context.rng.integers(2**31)))
    make, shape = FAMILIES[cell.subject]
    nets = [make(scale).eval() for scale in SCALES]
    latency = calibrated(context.progress)
    integers = []
    for net in nets:
        program = from_torch(net, shape, "s8.5", torch.randn(4, *shape).clamp(-4, 3.9))
        integers += [lower(program, format=format) for format in FORMATS]
    floats = [lower_floats(TracedGraph.of(net, shape)) for net in nets]
    return {
        "instructions": latency.instructions,
        "pairs": pairs(integers, latency),
        "float_pairs": pairs(floats, calibrated(context.progress, "float32")),
        "slopes": slopes(latency) if cell.subject == "darknet" else [],
    }


def pairs(nets: Sequence[Lowered], latency: Latency) -> list[JSON]:
    """Milliseconds of whole nets, predicted and measured."""
    _, timed = timings(nets, passes=8)
    return [[float(sum(latency(work) for work, _ in each.calls)), each.ms] for each in timed]


def slopes(latency: Latency) -> list[list[float]]:
    """Milliseconds per channel of one layer, by the price's gradient and by times two tile steps apart.

    The difference of two times is small, so that each is the least of many turns.
    """
    results = []
    for inputs, outputs, kernel, size in ((64, 16, 1, 56), (128, 24, 1, 28), (32, 16, 3, 56), (64, 24, 3, 28)):

        def net(width: int, shape: tuple[int, ...] = (inputs, outputs, kernel, size)) -> nn.Sequential:
            first, last, k, _ = shape
            middle = nn.Conv2d(first, width, k, padding=k // 2)
            return nn.Sequential(middle, nn.ReLU(), nn.Conv2d(width, last, 1), nn.ReLU()).eval()

        example = (inputs, size, size)
        programs = [from_torch(net(outputs + step), example, "u8.0", torch.rand(2, *example) * 255) for step in (-4, 4)]
        _, (below, above) = timings([lower(program, format="dense") for program in programs], passes=40)
        priced = net_latency(net(outputs), example, latency)
        results.append([priced.gradient()["0"], (above.ms - below.ms) / 8])
    return results
