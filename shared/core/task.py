"""What is trained: a loss, and a fit that is pulled towards an anchor."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

Progress = Callable[[int, int, str], None]
"""`progress(done, total, note)`: called as a search goes on."""


class Task(Protocol):
    """What is trained. A task owns its data, optimiser and metric, and knows nothing of menus or prices.

    All points have shape `(blocks, size)`; how blocks map to the model's parameters is the task's own affair. See
    `shared.core.testing.Quadratic` for a complete one, and `shared.core.testing.check_task` for the laws it has to
    keep.
    """

    def loss(self, x: Tensor) -> float:
        """The loss at `x`, on the data that may be used to choose between points."""

    def fit(self, x: Tensor, anchor: Tensor, rho: float, free: Tensor | None = None) -> Tensor:
        """Approximately `argmin_x loss(x) + rho/2 ||x - anchor||^2`, started at `x`, which is left as it is.

        `free`, a mask `(blocks, size)` of bool, limits the change to the coordinates where it is True; the others come
        back exactly as they were. ADMM fine-tunes with `fit(z, z, 0.0, free)`.
        """


class DifferentiableTask(Task, Protocol):
    """A task whose loss has a gradient: what `Relaxation` needs. See `shared.core.testing.Quadratic`."""

    def objective(self, x: Tensor) -> Tensor:
        """The training loss at `x`, `(blocks, size)`, as a scalar tensor that is differentiable in `x`.

        Unlike `loss`, it may sample a new batch at each call.
        """


def require_methods(task: object, solver: str, *names: str) -> None:
    """Raises `TypeError` where `task` lacks one of the methods `names`: most often it is a net."""
    missing = [name for name in names if not callable(getattr(task, name, None))]
    if isinstance(task, nn.Module) or missing:
        lack = f"`{'` and `'.join(missing)}`" if missing else "a point of its own"
        raise TypeError(
            f"{solver} needs a task with `{'`, `'.join(names)}`, got {type(task).__name__} without {lack}: "
            "wrap a net in `shared.weights.ParameterTask`, or call `shared.compress(net, ...)`"
        )


def penalty(x: Tensor, anchor: Tensor, rho: float) -> Tensor:
    """`rho/2 ||x - anchor||^2`, the term to add to a training loss inside `Task.fit`.

    The norm is squared: its gradient is `rho (x - anchor)` and vanishes at the anchor (Boyd et al., *Distributed
    Optimization and Statistical Learning via ADMM*, 2011, section 3.1.1, scaled form).

    >>> import torch
    >>> penalty(torch.tensor([[3.0], [4.0]]), torch.zeros(2, 1), rho=2.0)
    tensor(25.)
    """
    return 0.5 * rho * (x - anchor).square().sum()
