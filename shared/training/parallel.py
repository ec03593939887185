"""One training in several processes, as `torchrun` starts them: each takes a part of every batch.

A script that trains inside `with joined():` runs alone and under `torchrun` unchanged. Every process must read the same
batches, which seeds see to; `Trainer` does the rest, and all processes end with the same numbers.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from shared.training.device import choose


@contextmanager
def joined(device: str | None = None) -> Iterator[tuple[int, int]]:
    """The processes that `torchrun` has started, while the block runs: this one's rank, and how many there are.

    They talk over NCCL where they train on CUDA, each on a GPU of its own, and over Gloo otherwise. A process that was
    started in another way is rank 0 of 1.

    >>> with joined() as (rank, processes):
    ...     rank, processes
    (0, 1)
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0, 1
        return
    is_cuda = choose(device).type == "cuda"
    if is_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if is_cuda else "gloo")
    try:
        yield dist.get_rank(), dist.get_world_size()
    finally:
        dist.destroy_process_group()


def processes() -> int:
    """How many train together; 1 outside of `joined`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_part(batch: Tensor) -> Tensor:
    """This process's examples of a batch. Raises `ValueError` where there is not one for each process."""
    if len(batch) < processes():
        raise ValueError(
            f"a batch of {len(batch)} for {processes()} processes: needs one example for each; start fewer"
        )
    return batch[dist.get_rank() :: processes()]


def mix_gradients(parameters: Iterable[Tensor], share: float) -> None:
    """Every gradient becomes the mean of those of all processes, weighted by their shares of the batch.

    One that no process has stays None, as it does in one process.
    """
    for parameter in parameters:
        used = torch.tensor([float(parameter.grad is not None)], device=parameter.device)
        dist.all_reduce(used)
        if used:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else share * parameter.grad
            dist.all_reduce(gradient)
            parameter.grad = gradient


def average(tensors: Iterable[Tensor]) -> None:
    """Every floating-point tensor becomes the mean of those of all processes, in place."""
    for tensor in tensors:
        if tensor.is_floating_point():
            dist.all_reduce(tensor)
            tensor /= processes()


def copy_first(net: nn.Module) -> None:
    """All processes take the numbers of the first one's net."""
    for tensor in net.state_dict().values():
        dist.broadcast(tensor, 0)
