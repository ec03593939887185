"""Draws small programs of every operation and every word length, and foldings for them."""

from fpga.folded import Plan
from fpga.folded.graph.engines import engines
from fpga.folded.planning.choices import foldings
from shared.integer import (
    Add,
    AveragePool,
    Constant,
    Conv1d,
    Conv2d,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Program,
    Requantise,
    bits,
)
from shared.integer.format import Format

SHAPES = ((5,), (9,), (3, 8), (4, 6), (2, 4, 5), (4, 5, 3))


def draw(rng, steps=4):
    """A program of some operations on random shapes and formats, with pruned weights and sums of earlier values."""
    shape = SHAPES[rng.integers(len(SHAPES))]
    operations = []
    given = (Input("x", shape, narrow(rng)),)
    names = ["x"]
    for n in range(int(steps)):
        so_far = Program(given, tuple(operations), (names[-1],))
        for operation in step(rng, so_far, names, f"v{n}"):
            operations.append(operation)
            names.append(operation.output)
    return Program(given, tuple(operations), (names[-1],))


def narrow(rng):
    return Format(int(rng.integers(2, 17)), int(rng.integers(-2, 9)), signed=bool(rng.integers(2)))


def step(rng, program, names, name):
    """One operation that the last value allows, behind a requantiser where that is too wide to multiply."""
    x = program.values[names[-1]]
    alike = [other for other in names[:-1] if program.values[other].shape == x.shape]
    if alike and rng.random() < 0.4 and bits(x) < 30:
        return [Add((names[-1], alike[rng.integers(len(alike))]), name)]
    if bits(x) > 16 or rng.random() < 0.2:
        return [Requantise((names[-1],), name, narrow(rng))]
    if len(x.shape) == 1:
        return [linear(rng, names[-1], name, x)]
    if rng.random() < 0.2:
        return [Flatten((names[-1],), name)]
    if rng.random() < 0.3:
        return [pool(rng, names[-1], name, x)]
    return [convolution(rng, names[-1], name, x)]


def linear(rng, x, name, value):
    weight = pruned(rng, (int(rng.integers(1, 9)), value.shape[0]))
    return Linear((x,), name, weight, bias(rng, weight, value))


def convolution(rng, x, name, value):
    axes, channels = len(value.shape) - 1, value.shape[0]
    groups = int(rng.choice([d for d in range(1, channels + 1) if channels % d == 0]))
    padding = tuple(int(n) for n in rng.integers(0, 3, axes))
    kernel = tuple(int(rng.integers(1, min(3, n + 2 * p) + 1)) for n, p in zip(value.shape[1:], padding, strict=True))
    stride = tuple(int(n) for n in rng.integers(1, 4, axes))
    weight = pruned(rng, (groups * int(rng.integers(1, 4)), channels // groups, *kernel))
    kind = Conv1d if axes == 1 else Conv2d
    return kind((x,), name, weight, bias(rng, weight, value), stride, padding, groups)


def pool(rng, x, name, value):
    size = tuple(int(rng.integers(1, min(n, 3) + 1)) for n in value.shape[1:])
    stride = tuple(int(n) for n in rng.integers(1, 4, len(size)))
    return (MaxPool if rng.integers(2) else AveragePool)((x,), name, size, stride)


def pruned(rng, shape):
    """Weights of which some, some inputs and some outputs are zero."""
    format = Format(int(rng.integers(2, 17)), int(rng.integers(0, 9)))
    weight = rng.integers(format.low, format.high + 1, shape)
    weight *= rng.random(shape) < 0.8
    weight *= rng.random((shape[0], *(1,) * (len(shape) - 1))) < 0.8
    weight *= rng.random((1, *shape[1:])) < 0.8
    return Constant(weight, format)


def bias(rng, weight, value):
    if rng.random() < 0.3:
        return None
    fraction = weight.format.fraction + value.format.fraction
    return Constant(rng.integers(-(2**12), 2**12, weight.integers.shape[0]), Format(32, fraction))


def folding(rng, program):
    """Any plan of a program."""
    folds = {}
    for engine in engines(program, {})[1]:
        every = foldings(engine)
        if engine.taps is not None:
            folds[engine.node.name] = every[rng.integers(len(every))]
    return Plan(program, folds)


def samples(program, count, rng):
    """Integers over the whole range of the input, its ends included: `(count, *shape)`."""
    (given,) = program.inputs
    array = rng.integers(given.format.low, given.format.high + 1, (count, *given.shape))
    array[0], array[1] = given.format.low, given.format.high
    return array
