"""How many threads a cell computes on."""

import sys


def one_thread() -> None:
    """Torch, where it is loaded, on one thread from here on: cells are what is spread over cores.

    Numba shares OpenMP with torch and sets torch's threads as well when it starts its own. Started here, where it is
    loaded, it cannot do so in the middle of a training, whose last bits would then depend on what ran before.
    """
    if "numba" in sys.modules:
        sys.modules["numba"].get_num_threads()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
