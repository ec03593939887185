"""Laws with round numbers, for examples and tests that are the same on every machine."""

from mobile.pricing.latency import Latency

EXAMPLE = Latency(
    "avx2",
    {
        "dense": (100.0, 12.0, 0.2, 0.2, 12.0, 0.4, 0.4, 1.0, 2.0),
        "2x4": (100.0, 20.0, 0.5, 0.5, 12.0, 0.4, 0.4, 1.0, 2.0),
        "1x4": (100.0, 36.0, 1.0, 1.0, 12.0, 0.4, 0.4, 1.0, 2.0),
        "depthwise": (200.0, 30.0, 0.5, 0.0, 12.0, 0.5, 0.0, 0.0, 2.0),
        "spread": (20.0, 1.0, 1.0, 0.0, 0.0),
        "spread strided": (20.0, 2.5, 1.0, 0.0, 0.0),
        "round": (50.0, 10.0, 2.0, 0.0, 0.3),
        "add": (50.0, 10.0, 3.0, 0.0, 0.3),
        "pool": (40.0, 5.0, 3.0, 3.0, 0.0),
        "shuffle": (10.0, 10.0, 2.0, 1.0, 0.5),
        "shuffle apart": (10.0, 10.0, 8.0, 1.0, 0.5),
        "flatten": (10.0, 2.5, 0.0, 0.0, 0.0),
    },
    {"machine": "an example"},
    {},
)

FLOATS = Latency(
    "avx2",
    {
        "convolve": (100.0, 0.5, 0.0, 0.0, 0.01, 20.0, 2.1, 5.0, 0.5),
        "convolve one": (50.0, 10.0, 0.7, 0.0, 0.0),
        "depthwise": (100.0, 0.0, 10.0, 5.0, 2.0),
        **dict.fromkeys(("pad", "slope", "combine", "activate clamp", "activate leaky"), (50.0, 3.0, 0.0)),
        **dict.fromkeys(("activate gelu", "activate silu", "activate sigmoid"), (50.0, 20.0, 0.0)),
        "border": (50.0, 5.0, 2.0),
        "pool": (50.0, 5.0, 3.0, 3.0),
        "resample": (50.0, 5.0, 3.0, 3.0, 0.0),
        "arrange together": (50.0, 5.0, 0.2, 0.0),
        "arrange apart": (50.0, 5.0, 1.0, 0.0),
        "norm": (50.0, 30.0, 0.5),
        "softmax": (50.0, 50.0, 1.0),
        "embed": (50.0, 20.0, 0.1),
        **dict.fromkeys(("multiply", "multiply one"), (100.0, 5.0, 20.0, 2.1)),
    },
    {"machine": "an example"},
    {},
)
"""Of nets of floats."""
