"""One call from a net, its data, a menu, a price and a budget to the compressed net and its report."""

import copy
import math
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.modules.batchnorm import _BatchNorm

from shared.core.admm import ADMM
from shared.core.menu import Menu
from shared.core.menus import Grouping
from shared.core.price import Price
from shared.core.solver import Solution, Solver
from shared.core.task import Progress
from shared.training.data import Examples, Pairs
from shared.training.device import choose
from shared.training.epochs import fastest_layout
from shared.training.loop import Schedule
from shared.weights.blocks import (
    BlockMenu,
    Blocks,
    BlockSparsity,
    ChannelSparsity,
    Description,
    FixedPointWeights,
    channel_blocks,
    places,
    tile_blocks,
)
from shared.weights.channels import ChannelGroup, channel_groups, sides_of, taken
from shared.weights.compressed import Compressed, folded
from shared.weights.layout import GroupingOf, Layout
from shared.weights.permutation import permuted
from shared.weights.prices import BlocksPrice, ChannelsPrice, NetPrice, NumbersPrice, positions
from shared.weights.report import CompressionReport, LayerReport
from shared.weights.selection import SelectedPrice
from shared.weights.task import ParameterTask

TargetLoss = Callable[[Tensor, Tensor], Tensor]
"""The loss of outputs and targets."""

SEARCH = ADMM(rho=1e-2, growth=1.2, steps=20, fine_tune=0)
STEP = Schedule(steps=40, batch=128, rate=1e-3, floor=1e-4)
"""The training between two projections."""
TUNING = Schedule(steps=800, batch=128, rate=2e-3, floor=1e-5)
"""The training of what is kept."""
JUDGED = 4096
"""Examples that losses are measured on, the first ones."""
QUIET_SECONDS = 2.0


def compress(
    net: nn.Module,
    data: tuple[Tensor, Tensor] | Examples,
    *,
    on: Description | Sequence[Description] | Menu,
    price: NetPrice | Price,
    budget: float,
    loss: TargetLoss | None = None,
    solver: Solver | None = None,
    skip: Collection[str] = (),
    grouping: GroupingOf = Grouping.element,
    schedule: Schedule = STEP,
    tuning: Schedule = TUNING,
    validation: tuple[Tensor, Tensor] | None = None,
    fold_norms: bool = False,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
) -> Compressed:
    """`net` within `budget`, trained on `data`, and a report of what was kept. `net` itself is left as it is.

    - `data`: inputs `(n, *shape)` and targets `(n, ...)`, or an object with the methods of `Examples`.
    - `on`: `BlockSparsity`, `ChannelSparsity`, `FixedPointWeights`, or a tuple of one of the first two and the last; or
      a `Menu` of your own over the weights of convolutions and linear layers, cut into blocks by `grouping`, a
      function from a weight's shape to its `Grouping`.
    - `price`: `MACs(example)`, `Bytes()`, or a `Price` of your own over the compressed blocks `(blocks, size)`.
    - `budget`: up to 1, the share of the dense net's price that may be kept; above, in the price's unit.
    - `loss`: of outputs and targets; by default cross entropy for integer targets and the mean square for others.
    - `solver`: `ADMM()` or `Relaxation()`. It fits with `schedule`; `tuning` then trains what is kept.
    - `skip`: names of layers that stay dense. Layers of other kinds always do, and the report names them.
    - `validation`: losses and accuracies of the report are of these examples, else of the first of `data`.
    - `fold_norms`: batch norms are folded into the layer before them.

    The search trains in evaluation mode: batch norms keep their statistics, dropout is off. While what is kept is
    trained, norms follow the statistics of its batches, which those of the dense net are far from.

    Raises `ValueError` for a net or data that cannot be compressed, and for a budget below the cheapest net, with its
    price.

    >>> from shared import BlockSparsity, MACs
    >>> generator = torch.Generator().manual_seed(0)
    >>> x = torch.randn(200, 8, generator=generator)
    >>> net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    >>> compressed = compress(net, (x, (x[:, 0] > 0).long()), on=BlockSparsity(4), price=MACs((8,)), budget=0.25)
    >>> compressed.report.dense, compressed.report.measured
    (160.0, 40.0)
    """
    setup = _Setup.of(net, data, loss, device, skip)
    problem = _problem(setup, on, price, budget, grouping)
    if fold_norms and problem.word is not None:
        raise ValueError("fold_norms moves weights off the grid of FixedPointWeights: fold before compress")
    generator = torch.Generator().manual_seed(seed)
    net = copy.deepcopy(problem.net)
    task = ParameterTask(net, setup.batch_loss(schedule.batch), generator, schedule, grouping=problem.layout)
    solver = solver or (SEARCH if problem.blocks is not None else replace(SEARCH, fine_tune=3))
    show = progress or _stderr()
    solution = solver.solve(task, on=problem.menu, price=problem.price, budget=problem.budget, x=task.x, progress=show)
    z = _tuned(task, problem.blocks, solution, setup, tuning)
    return _finished(setup, problem, task, z, solution, validation, fold_norms)


@dataclass(frozen=True, eq=False)
class _Setup:
    """What is compressed, before anything is decided about blocks."""

    original: nn.Module
    """A copy, in evaluation mode."""
    examples: Examples
    loss: TargetLoss
    layers: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        net: nn.Module,
        data: tuple[Tensor, Tensor] | Examples,
        loss: TargetLoss | None,
        device: str | None,
        skip: Collection[str],
    ) -> "_Setup":
        if not isinstance(net, nn.Module):
            raise ValueError(f"compress needs a torch module, got {type(net).__name__}")
        where = choose(device)
        net = copy.deepcopy(net).eval().to(where)
        if not list(net.parameters()):
            raise ValueError(f"{type(net).__name__} has no parameters: there is nothing to compress")
        examples: Examples = Pairs(*data) if isinstance(data, tuple) else data
        if not callable(getattr(examples, "batch", None)):
            raise ValueError(f"data must be two tensors (x, y), or have a method `batch`, got {type(data).__name__}")
        examples = examples.to(where) if isinstance(examples, Pairs) else examples
        x, y = examples.batch(torch.arange(min(2, len(examples))), torch.Generator())
        positions(net, x)  # says in one line where data and net do not fit
        layers, notes = _layers(net, skip)
        return cls(net, examples, loss or (mse_loss if y.is_floating_point() else cross_entropy), layers, notes)

    def example(self) -> Tensor:
        return self.examples.batch(torch.arange(min(4, len(self.examples))), torch.Generator())[0]

    def batch_loss(self, size: int) -> Callable[[Callable[..., Tensor], torch.Generator], Tensor]:
        def loss(forward: Callable[..., Tensor], generator: torch.Generator) -> Tensor:
            picked = torch.randint(len(self.examples), (min(size, len(self.examples)),), generator=generator)
            x, y = self.examples.batch(picked, generator)
            return self.loss(forward(x.contiguous() if is_plain else x), y)

        # Where the fast layout is broken, images that come in it would make every layer so.
        is_plain = fastest_layout(self.original) == torch.contiguous_format
        return loss

    @torch.no_grad()
    def judge(self, forward: Callable[..., Tensor], pairs: Examples) -> tuple[float, float | None]:
        """The loss, and the share of right answers where targets are class numbers."""
        total, right, count, is_class = 0.0, 0, 0, True
        for picked in torch.arange(min(len(pairs), JUDGED)).split(512):
            x, y = pairs.batch(picked, torch.Generator().manual_seed(0))
            outputs = forward(x)
            total += float(self.loss(outputs, y)) * len(picked)
            count += len(picked)
            is_class = not y.is_floating_point() and y.ndim == 1 and outputs.ndim == 2
            right += int((outputs.argmax(1) == y).sum()) if is_class else 0
        return total / count, right / count if is_class else None


def _layers(net: nn.Module, skip: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The layers that are compressed, and what to say of the others."""
    names = {name for name, _ in net.named_parameters()}
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d)
    modules = dict(net.named_modules())
    if unknown := sorted(set(skip) - set(modules)):
        raise ValueError(f"skip={unknown[0]!r} is no layer of the net: it has {', '.join(filter(None, modules))}")
    layers, notes = [], []
    for path, layer in modules.items():
        own = [name for name, _ in layer.named_parameters(recurse=False)]
        if path in skip:
            notes.append(f"{type(layer).__name__} {path!r} is left dense, as asked")
        elif isinstance(layer, kinds) and f"{path}.weight".removeprefix(".") in names and path:
            layers.append(path)
        elif isinstance(layer, kinds):
            notes.append(f"{type(layer).__name__} {path!r} is left dense: its weight is parametrized or shared")
        elif isinstance(layer, nn.ConvTranspose2d):
            notes.append(f"ConvTranspose2d {path!r} is left dense")
        elif own and not isinstance(layer, _BatchNorm):
            notes.append(f"{type(layer).__name__} {path!r} is left dense, and its multiplications are not counted")
    if isinstance(net, kinds):
        raise ValueError(f"a single {type(net).__name__} has no name for its weight: put it into an nn.Sequential")
    if not layers:
        raise ValueError(f"{type(net).__name__} has no Conv1d, Conv2d or Linear to compress")
    return tuple(layers), tuple(notes)


@dataclass(frozen=True, eq=False)
class _Problem:
    """A net and its blocks, what each may become and costs."""

    net: nn.Module
    layout: Layout
    blocks: Blocks | None
    """None for a user's menu."""
    groups: tuple[ChannelGroup, ...]
    menu: Menu
    price: Price
    dense: float
    budget: float
    notes: tuple[str, ...]
    word: int | None


def _problem(
    setup: _Setup,
    on: Description | Sequence[Description] | Menu,
    price: NetPrice | Price,
    budget: float,
    grouping: GroupingOf,
) -> _Problem:
    if not budget > 0 or math.isnan(budget):
        raise ValueError(f"{budget=}: must be positive, up to 1 for a share of the dense price, else in its unit")
    if isinstance(on, Menu):
        return _user_problem(setup, on, price, budget, grouping)
    tiles, is_channels, word = _described(on)
    net, notes = setup.original, list[str]()
    groups: tuple[ChannelGroup, ...] = ()
    if is_channels:
        groups = tuple(group for group in channel_groups(net, setup.example()) if group.is_removable and group.size > 1)
        groups = tuple(group for group in groups if {slot.path for slot in group.writers} & set(setup.layers))
        if not groups:
            raise ValueError(
                "ChannelSparsity finds no channels that can be removed: outputs of the net and of layers "
                "before an operation that is not traced stay; take BlockSparsity"
            )
        unlimited = ChannelsPrice(_costs(setup, price, net, word), *sides_of(net, groups), price.unit, math.inf)
        blocks = channel_blocks(net, groups, unlimited.alone.float(), setup.layers, word)
    else:
        if tiles.permute and (tiles.outputs > 1 or tiles.inputs > 1):
            net, note = _reordered(setup, tiles, min(budget, 1.0))
            notes.append(note)
        blocks = tile_blocks(net, setup.layers, tiles, word)
        notes += _padding(net, setup.layers, tiles)
    if word is not None:
        notes.append(f"weights of {len(setup.layers)} layers on grids of {word} bits; biases and norms are not rounded")
    title = " x ".join(map(repr, on)) if isinstance(on, Sequence) else repr(on)
    bound, dense = _bound(setup, net, blocks, groups, price, word)
    absolute = budget * dense if budget <= 1 else budget
    if isinstance(bound, ChannelsPrice):
        bound = replace(bound, budget=absolute)
    menu = BlockMenu(blocks, title)
    return _Problem(net, blocks.layout, blocks, groups, menu, bound, dense, absolute, tuple(notes), word)


def _described(on: Description | Sequence[Description]) -> tuple[BlockSparsity, bool, int | None]:
    """The tiles, whether channels are the blocks, and the word."""
    parts = list(on) if isinstance(on, Sequence) else [on]
    shapes = [part for part in parts if isinstance(part, BlockSparsity | ChannelSparsity)]
    words = [part for part in parts if isinstance(part, FixedPointWeights)]
    if len(shapes) > 1 or len(words) > 1 or len(shapes) + len(words) != len(parts) or not parts:
        raise ValueError(
            f"on={on!r}: must be a Menu, BlockSparsity, ChannelSparsity, FixedPointWeights, or a tuple of one "
            "of the first two and FixedPointWeights"
        )
    word = words[0].word if words else None
    if shapes and isinstance(shapes[0], ChannelSparsity):
        return BlockSparsity(1), True, word
    return shapes[0] if shapes else BlockSparsity(1, permute=False), False, word  # type: ignore[return-value]


def _reordered(setup: _Setup, tiles: BlockSparsity, share: float) -> tuple[nn.Module, str]:
    net = setup.original
    try:
        groups = channel_groups(net, setup.example())
    except ValueError as error:
        return net, f"channels keep their order: {error}"
    net, factor = permuted(net, groups, setup.layers, tiles, positions(net, setup.example()), share)
    return net, f"channels reordered: the tiles kept hold {factor - 1:.1%} more squared norm; the net computes the same"


def _padding(net: nn.Module, layers: Collection[str], tiles: BlockSparsity) -> list[str]:
    padded = [
        path
        for path in layers
        if bool((tiles.tiles(places(net)[f"{path}.weight"], getattr(net.get_submodule(path), "groups", 1)) < 0).any())
    ]
    return [f"smaller tiles at the edges of {', '.join(padded)}, whose sizes do not divide"] if padded else []


def _costs(setup: _Setup, price: NetPrice | Price, net: nn.Module, word: int | None) -> Tensor:
    """What each number costs; for a price of the user's own, 1."""
    if not _is_net_price(price):
        return torch.ones(sum(p.numel() for p in net.parameters()))
    return price.number_costs(net, setup.layers, word).cpu()  # type: ignore[union-attr]


def _is_net_price(price: NetPrice | Price) -> bool:
    return callable(getattr(price, "number_costs", None))


def _bound(
    setup: _Setup,
    net: nn.Module,
    blocks: Blocks,
    groups: Sequence[ChannelGroup],
    price: NetPrice | Price,
    word: int | None,
) -> tuple[Price, float]:
    """The price of the blocks, and that of the dense net."""
    if not _is_net_price(price):
        rows = torch.arange(len(blocks.layout.index)) < blocks.selected
        bound = SelectedPrice(price, rows, blocks.layout.index.shape[1])  # type: ignore[arg-type]
        numbers = torch.cat([p.detach().flatten() for p in net.parameters()])
        return bound, bound.measure(blocks.layout.point(numbers))
    costs = _costs(setup, price, net, word)
    dense = float(price.number_costs(net, setup.layers, None).double().sum())  # type: ignore[union-attr]
    if groups:
        return ChannelsPrice(costs, *sides_of(net, groups), price.unit, math.inf), dense
    each = blocks.layout.point(costs).double().sum(1)
    always = torch.where(blocks.droppable, torch.full_like(each, price.block_cost()), each)  # type: ignore[union-attr]
    return BlocksPrice(torch.where(blocks.droppable, each, 0.0), always, price.unit), dense


def _user_problem(setup: _Setup, menu: Menu, price: NetPrice | Price, budget: float, grouping: GroupingOf) -> _Problem:
    net = setup.original
    names = {f"{path}.weight" for path in setup.layers}

    def cut(shape: tuple[int, ...]) -> Grouping:
        return grouping(shape) if len(shape) > 1 else Grouping.element(shape)

    task = ParameterTask(net, setup.batch_loss(1), torch.Generator(), select=names, grouping=cut)
    if _is_net_price(price):
        costs = task.layout.point(price.number_costs(net, setup.layers, None).cpu())  # type: ignore[union-attr]
        bound: Price = NumbersPrice(costs, price.unit)
    else:
        bound = task.price(price)  # type: ignore[arg-type]
    dense = bound.measure(task.x)
    share = budget * dense if budget <= 1 else budget
    return _Problem(net, task.layout, None, (), task.menu(menu), bound, dense, share, (), None)


def _tuned(task: ParameterTask, blocks: Blocks | None, solution: Solution, setup: _Setup, tuning: Schedule) -> Tensor:
    """The better of the search's point and the same pattern trained further; the task's net has its statistics."""
    task = replace(task, batch_loss=setup.batch_loss(tuning.batch), schedule=tuning)
    before = setup.judge(task.forward(solution.z), setup.examples)[0]
    statistics = {name: buffer.clone() for name, buffer in task.net.named_buffers()}
    with _norms_following(task.net, min(tuning.batch, len(setup.examples))):
        if blocks is None:
            tuned = task.fit(solution.z, solution.z, 0.0, solution.free)
        else:
            dropped = ~(solution.z != 0).any(1, keepdim=True) & blocks.droppable.to(solution.z.device)[:, None]
            start = torch.where(blocks.step.to(solution.z.device) > 0, solution.x, solution.z)
            tuned = task.fit_on(lambda x: torch.where(dropped, 0.0, blocks.rounded(x)), start, tuning)
    if setup.judge(task.forward(tuned), setup.examples)[0] < before:
        return tuned
    task.net.load_state_dict(statistics, strict=False)
    return solution.z


@contextmanager
def _norms_following(net: nn.Module, batch: int) -> Iterator[None]:
    """Batch norms take the statistics of each batch; they have none of a single example."""
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm) and batch > 1]
    for norm in norms:
        norm.train()
    try:
        yield
    finally:
        for norm in norms:
            norm.eval()


def _finished(
    setup: _Setup,
    problem: _Problem,
    task: ParameterTask,
    z: Tensor,
    solution: Solution,
    validation: tuple[Tensor, Tensor] | None,
    fold_norms: bool,
) -> Compressed:
    full = task.apply(z).eval()
    module = full
    if problem.groups:
        there = (z[: problem.blocks.selected] != 0).any(1).cpu()  # type: ignore[union-attr]
        sizes = [group.size for group in problem.groups]
        kept = [part.nonzero()[:, 0] for part in torch.split(there, sizes)]
        module = taken(full, list(zip(problem.groups, kept, strict=True)))
        _require_same(full, module, setup.example())
    notes = [*setup.notes, *problem.notes]
    if fold_norms:
        module, count = folded(module, setup.example())
        notes.append(f"{count} batch norms folded into the layer before them, whose weights are rescaled")
    examples: Examples = setup.examples if validation is None else Pairs(*validation)
    before, after = (setup.judge(it, examples) for it in (setup.original, module))
    report = CompressionReport(
        layers=tuple(_layer_report(setup, problem, full, module, path, z) for path in setup.layers),
        unit=problem.price.unit,
        dense=problem.dense,
        budget=problem.budget,
        measured=float(problem.price.measure(z)),
        loss_name={mse_loss: "mean square", cross_entropy: "cross entropy"}.get(setup.loss, "loss"),
        loss_before=before[0],
        loss_after=after[0],
        accuracy_before=before[1],
        accuracy_after=after[1],
        measured_on=f"{min(len(examples), JUDGED)} examples of {'training' if validation is None else 'validation'}",
        status=solution.status,
        notes=tuple(notes),
    )
    return Compressed(module.cpu(), report, solution, setup.example()[:1].cpu())


def _require_same(full: nn.Module, module: nn.Module, x: Tensor) -> None:
    """The smaller net computes what the net of zeros computes."""
    with torch.no_grad():
        expected = full(x)
        try:
            actual = module(x)
        except RuntimeError as error:
            line = str(error).splitlines()[0]
            raise ValueError(f"the net does not run with fewer channels, a size in it is fixed: {line}") from error
    assert torch.allclose(expected, actual, rtol=1e-3, atol=1e-4 * float(expected.abs().max() + 1)), "channels"


def _layer_report(
    setup: _Setup, problem: _Problem, full: nn.Module, module: nn.Module, path: str, z: Tensor
) -> LayerReport:
    uses = positions(setup.original, setup.example()).get(path, 0)
    before, after = (net.get_submodule(path) for net in (setup.original, module))
    kind, weight, left = type(before).__name__, _weight(before), _weight(after)
    total, kept = weight.numel(), int((left != 0).sum())
    if problem.groups:
        kept, words = left.numel(), f"{len(left)} of {len(weight)} outputs, {left.shape[1]} of {weight.shape[1]} inputs"
    elif problem.blocks is not None:
        index = problem.layout.index[: problem.blocks.selected]
        inside = torch.isin(index, places(full)[f"{path}.weight"]).any(1)
        there = (z[: problem.blocks.selected] != 0).any(1).cpu()
        kept = int((index[inside & there] >= 0).sum())
        words = f"{int((inside & there).sum())} of {int(inside.sum())} blocks"
    else:
        words = f"{kept} of {total} weights"
    if problem.word is not None:
        words += f", {problem.word} bits"
    return LayerReport(path, kind, words, total * uses, kept * uses)


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight


def _stderr() -> Progress | None:
    """One line on a terminal, for what takes longer than two seconds."""
    if not sys.stderr.isatty():
        return None
    return partial(_line, time.monotonic())


def _line(started: float, done: int, total: int, note: str) -> None:
    if time.monotonic() - started > QUIET_SECONDS:
        print(f"\r{done}/{total} {note:60.60}", end="\n" if done == total else "", file=sys.stderr, flush=True)
