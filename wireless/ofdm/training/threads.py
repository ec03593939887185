"""How many threads the receiver's networks are trained on."""

import torch
from numba import get_num_threads


def train_on_one_thread() -> None:
    """Torch on one thread from here on: the networks are tiny, and a second thread costs more than it brings.

    Numba shares OpenMP with torch and sets torch's threads as well when it starts its own. Started here, it cannot do
    so in the middle of a training, whose last bits would then depend on what ran before.
    """
    get_num_threads()
    torch.set_num_threads(1)
