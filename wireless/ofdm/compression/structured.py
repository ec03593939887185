"""Structured pruning: whole hidden units go, and what is left are smaller matrices without a single index."""

import torch
from torch import Tensor, nn

from shared import ADMM, Grouping, NonzeroPrice, Sparsity
from shared.core.task import Progress
from shared.training.loop import Schedule
from shared.weights.task import Loss, ParameterTask
from wireless.ofdm.neural import ContextNet, DelayGate, SyndromeNet

SOLVER = ADMM(rho=1e-2, growth=1.2, steps=12, fine_tune=3)


def unit_macs(net: nn.Module) -> dict[str, int]:
    """Multiply-accumulates that one row of each prunable tensor costs, with what reads it where nothing else does.

    A unit of a delay gate or of the demapper's judge has weights into it and out of it. A channel of the decoder is
    added to what runs past it, so that the layer after it is read as before.
    """
    if isinstance(net, DelayGate):
        pairs = zip(net.layers, list(net.layers)[1:], strict=False)
        return {f"layers.{k}.weight": _width(one) + len(_weight(two)) for k, (one, two) in enumerate(pairs)}
    if isinstance(net, ContextNet):
        return {f"doubt.{k}.0.weight": _width(mlp[0]) + 1 for k, mlp in enumerate(net.doubt)}  # type: ignore[index]
    if isinstance(net, SyndromeNet):
        return {f"middle.{k}.weight": _width(layer) for k, layer in enumerate(net.middle)}
    raise ValueError(f"{type(net).__name__} has no units to prune: needs a DelayGate, a ContextNet or a SyndromeNet")


def unit_task(net: nn.Module, loss: Loss, generator: torch.Generator, schedule: Schedule) -> ParameterTask:
    """The task over units: a block is the weights into one, or its bias; those of `unit_macs` may go."""
    return ParameterTask(net, loss, generator, schedule, select=unit_macs(net), grouping=Grouping.channel)


def prune_units(
    task: ParameterTask, share: float, solver: ADMM = SOLVER, progress: Progress | None = None
) -> tuple[nn.Module, int]:
    """A `unit_task`'s network with units worth at most `share` of their MACs, the others zero, and how many MACs went.

    `without_units` makes smaller matrices of it. Raises ValueError for a share outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share={share:g} of the MACs: must be between 0 and 1")
    each = unit_macs(task.net)
    macs = [float(each[name]) for name, p in task.net.named_parameters() if name in each for _ in range(len(p))]
    whole = sum(macs)
    solution = solver.solve(
        task,
        on=task.menu(Sparsity()),
        price=task.price(NonzeroPrice(tuple(macs), "MAC")),
        budget=share * whole,
        x=task.x,
        progress=progress,
    )
    return task.apply(solution.z).eval(), round(whole - solution.measured)


def without_units(net: nn.Module) -> nn.Module:
    """The same function in smaller matrices: units whose weights are zero say the same always, which a bias can say.

    Channels of a `SyndromeNet` stay where they are: what is added to them needs them in their places.
    """
    if isinstance(net, DelayGate):
        for k in range(len(net.layers) - 1):
            net.layers[k], net.layers[k + 1] = _smaller(net.layers[k], net.layers[k + 1])
    if isinstance(net, ContextNet):
        for mlp in net.doubt:
            mlp[0], mlp[2] = _smaller(mlp[0], mlp[2])  # type: ignore[index,operator]
    return net.eval()


def present(net: nn.Module) -> int:
    """Parameters of a network, without rows of weights that are zero."""
    gone = sum(int((Grouping.channel(tuple(p.shape)).split(p) == 0).all(1).sum()) * p[0].numel() for p in _weights(net))
    return sum(p.numel() for p in net.parameters()) - gone


def _weights(net: nn.Module) -> list[Tensor]:
    return [p for name, p in net.named_parameters() if name.endswith("weight") and len(p)]


def _smaller(one: nn.Module, two: nn.Module) -> tuple[nn.Linear, nn.Linear]:
    assert isinstance(one, nn.Linear)
    assert isinstance(two, nn.Linear)
    with torch.no_grad():
        there = (one.weight != 0).any(1)
        bias = two.bias + two.weight[:, ~there] @ torch.relu(one.bias[~there])
        return _linear(one.weight[there], one.bias[there]), _linear(two.weight[:, there], bias)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(1, 1)  # whose own weights are replaced: torch warns where there are none to draw
    layer.out_features, layer.in_features = weight.shape
    layer.weight, layer.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return layer


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Linear | nn.Conv1d)
    return layer.weight


def _width(layer: nn.Module) -> int:
    """Weights into one unit."""
    return _weight(layer)[0].numel()
