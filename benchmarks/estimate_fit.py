"""Fits the constants of `fpga.pricing.estimate` to what yosys and nextpnr make of random nets.

`python -m benchmarks.estimate_fit [--nets N] [--seed N] [--out DIR]` prints the two tables of constants and the
error of the estimate in leave-one-out validation. The nets of `benchmarks.fpga` are not among them.
"""

import argparse
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from fpga.design.devices import DEVICES
from fpga.folded import Plan, generate
from fpga.folded.graph.engines import engines
from fpga.folded.planning.choices import choices
from fpga.pricing import estimate
from fpga.synth import map_design
from fpga.unrolled.generate import cost, unroll
from shared.integer import (
    AveragePool,
    Constant,
    Conv1d,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Operation,
    Program,
    Requantise,
)
from shared.integer.format import Format

DEVICE = DEVICES["ecp5-85k"]


def dense(rng: np.random.Generator, word: int, sparse: float) -> Program:
    """Two to four layers of 8 to 40 units."""
    widths = rng.integers(8, 41, rng.integers(3, 6)) // 4 * 4
    steps: list[Operation] = []
    at = "x"
    for k, (inputs, outputs) in enumerate(pairwise(widths)):
        bias = Constant(rng.integers(-500, 500, outputs), Format(32, 8))
        steps.append(Linear((at,), f"a{k}", _weights(rng, (outputs, inputs), word, sparse), bias))
        steps.append(Requantise((f"a{k}",), f"b{k}", Format(word, 4, signed=False)))
        at = f"b{k}"
    steps = [*steps[:-1]]
    return Program((Input("x", (int(widths[0]),), Format(word, 4)),), tuple(steps), (steps[-1].output,))


def convolutional(rng: np.random.Generator, word: int, sparse: float) -> Program:
    """Two or three strided convolutions, a pool and a layer."""
    channels, length = [2, *(rng.integers(4, 25, rng.integers(2, 4)) // 4 * 4)], int(rng.choice((64, 128, 256, 512)))
    steps: list[Operation] = []
    at = "x"
    for k, (inputs, outputs) in enumerate(pairwise(channels)):
        kernel = int(rng.choice((3, 5, 7)))
        weight = _weights(rng, (int(outputs), int(inputs), kernel), word, sparse)
        steps.append(Conv1d((at,), f"a{k}", weight, None, (2,), (kernel // 2,)))
        steps.append(Requantise((f"a{k}",), f"b{k}", Format(word, 4, signed=False)))
        at = f"b{k}"
    rest = length >> len(channels) - 1
    pool = rng.choice((AveragePool, MaxPool))((at,), "pool", (rest,))
    steps += [pool, Requantise(("pool",), "mean", Format(word, 4)), Flatten(("mean",), "flat")]
    steps.append(Linear(("flat",), "y", _weights(rng, (4, int(channels[-1])), word, sparse)))
    return Program((Input("x", (2, length), Format(word, 4)),), tuple(steps), ("y",))


def _weights(rng: np.random.Generator, shape: tuple[int, ...], word: int, sparse: float) -> Constant:
    format = Format(word, 4)
    integers = np.clip(np.rint(rng.normal(0, 2.0 ** (word - 3.3), shape)), format.low, format.high).astype(int)
    return Constant(integers * (rng.random(shape) >= sparse), format)


def any_net(rng: np.random.Generator) -> Program:
    """Either kind, 6 to 16 bits, no weight pruned."""
    kind, word = rng.choice((dense, convolutional)), int(rng.choice((6, 8, 8, 16)))
    return kind(rng, word, 0.0)


def sparse(rng: np.random.Generator) -> Program:
    """Layers of 4 to 8 bits, half to nine tenths of the weights pruned."""
    return dense(rng, int(rng.choice((4, 6, 8))), float(rng.uniform(0.5, 0.9)))


def folded(rng: np.random.Generator, folder: Path) -> tuple[Counter[str], Mapping[str, float]]:
    """The features of a random net with random folds, and the resources it uses."""
    program = any_net(rng)
    gathering = [engine for engine in engines(program, {})[1] if engine.taps is not None]
    folds = {engine.node.name: rng.choice([c for c in choices(engine) if c.size <= 32]).fold for engine in gathering}
    plan = Plan(program, folds)
    cells = map_design(generate(program, plan), DEVICE, folder)
    parts: Counter[str] = sum(
        (estimate.engine_features(e, plan, DEVICE) for e in plan.graph_and_engines[1]), Counter(ends=1)
    )
    return parts, {"lut": cells.used.lut, "ff": cells.used.ff}


def unrolled(rng: np.random.Generator, folder: Path) -> tuple[Counter[str], Mapping[str, float]]:
    """The features of a random unrolled net, and the resources it uses."""
    program = sparse(rng)
    cells = map_design(unroll(program), DEVICE, folder)
    parts = Counter({name: float(n) for name, n in estimate.stream_features(program).items()})
    parts["adders"] = sum(cost(program).values())
    return parts, {"lut": cells.used.lut, "ff": cells.used.ff}


def fit(features: list[Counter[str]], used: list[float]) -> dict[str, float]:
    """Constants, none negative, of least squared relative error."""
    names = sorted({name for net in features for name in net})
    rows = np.array([[net[name] for name in names] for net in features], float) / np.array(used)[:, None]
    return dict(zip(names, nnls(rows, np.ones(len(rows)))[0].tolist(), strict=True))


def relative_error(constants: Mapping[str, float], features: Counter[str], used: float) -> float:
    """Of the estimate with these constants."""
    return sum(constants.get(name, 0) * n for name, n in features.items()) / used - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=16, help="random nets of each generator")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/estimate_fit"))
    arguments = parser.parse_args()
    for generator in (folded, unrolled):
        name, nets = generator.__name__, []
        for k in range(arguments.nets):
            rng = np.random.default_rng((arguments.seed, k))
            nets.append(generator(rng, arguments.out / f"{name}{k}"))
            print(f"{name} {k + 1}/{arguments.nets}: {nets[-1][1]} {dict(nets[-1][0])}", flush=True)
        for kind in ("lut", "ff"):
            features, used = [net for net, _ in nets], [resources[kind] for _, resources in nets]
            errors = [
                abs(
                    relative_error(
                        fit(features[:k] + features[k + 1 :], used[:k] + used[k + 1 :]), features[k], used[k]
                    )
                )
                for k in range(len(nets))
            ]
            print(f"{name} {kind}: leave-one-out error, median {np.median(errors):.1%}, largest {max(errors):.1%}")
            print({name: round(constant, 3) for name, constant in fit(features, used).items() if constant})


if __name__ == "__main__":
    main()
