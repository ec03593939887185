"""The foldings of each layer, and what each costs: multipliers and clocks."""

from collections.abc import Mapping
from dataclasses import dataclass

from fpga.folded.graph.engines import Engine, Fold
from fpga.folded.graph.taps import channelwise, taps
from shared.integer.operations import AbstractWeighted


@dataclass(frozen=True)
class Choice:
    """One way to fold a layer: how many elements it takes in per clock, and its clocks per sample."""

    fold: Fold
    size: int
    clocks: int


def choices(engine: Engine) -> tuple[Choice, ...]:
    """The Pareto-optimal foldings of an engine: each is larger and faster than the one before.

    The clocks are counted with the weights of this net, without those that are pruned.
    """
    best: list[Choice] = []
    for fold in sorted(foldings(engine), key=lambda fold: (size(fold), fold.width)):
        clocks = taps(engine.node, engine.inputs[0], fold.lanes, fold.width).clocks
        if best and clocks >= best[-1].clocks:
            continue
        if best and best[-1].size == size(fold):
            best.pop()
        best.append(Choice(fold, size(fold), clocks))
    return tuple(best)


def size(fold: Fold) -> int:
    """Products, or comparisons, per clock."""
    return fold.lanes * fold.width


def foldings(engine: Engine) -> list[Fold]:
    """All foldings of an engine: lanes divide the outputs of a group, the width its inputs."""
    operation = engine.node.operation
    if operation is None or engine.taps is None:
        return [Fold()]
    if channelwise(operation):
        return [Fold(lanes) for lanes in divisors(engine.inputs[0].shape[0])]
    assert isinstance(operation, AbstractWeighted)
    out, inner = operation.weight.integers.shape[:2]
    out //= getattr(operation, "groups", 1)
    return [Fold(lanes, width) for lanes in divisors(out) for width in divisors(inner)]


def divisors(n: int) -> list[int]:
    """All divisors, rising.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    return [d for d in range(1, n + 1) if n % d == 0]


def check_folds(engines: tuple[Engine, ...], folds: Mapping[str, Fold]) -> None:
    """Raises `ValueError` for a fold that its layer does not allow, and for a name that is no layer."""
    layers = {engine.node.name: foldings(engine) for engine in engines if engine.taps is not None}
    for name, fold in folds.items():
        if name not in layers:
            raise ValueError(f"fold of {name!r}: no such layer; there are {', '.join(layers) or 'none'}")
        if fold not in layers[name]:
            lanes = sorted({fold.lanes for fold in layers[name]})
            widths = sorted({fold.width for fold in layers[name]})
            raise ValueError(f"fold of {name!r}: {fold} does not divide it: lanes {lanes}, width {widths}")


def fold_for_reuse(engine: Engine, factor: int) -> Fold:
    """The fastest fold in which each multiplier does `factor` products per output position.

    As the reuse factor of hls4ml. Raises `ValueError` with the possible factors.
    """
    operation = engine.node.operation
    if not isinstance(operation, AbstractWeighted):
        raise ValueError(f"reuse of {engine.node.name!r}: it multiplies nothing")
    products = operation.weight.integers.size
    fits = [fold for fold in foldings(engine) if size(fold) * factor == products]
    if not fits:
        factors = sorted({products // size(fold) for fold in foldings(engine)})
        raise ValueError(f"reuse of {engine.node.name!r}: {factor} is none of {', '.join(map(str, factors))}")
    return min(fits, key=lambda fold: taps(engine.node, engine.inputs[0], fold.lanes, fold.width).clocks)
