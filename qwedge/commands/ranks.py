"""One command that `torchrun` starts several times: each process takes other cells, and the first shows all rows."""

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.lab import Experiment, Settings, Store

SECONDS_BETWEEN_LOOKS = 1.0


def rank_and_count() -> tuple[int, int]:
    """Which of the processes that `torchrun` has started this is, and how many there are; 0 of 1 without it.

    >>> rank_and_count()
    (0, 1)
    """
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def compute_share(
    experiment: "Experiment[Any]", cells: "Sequence[Settings]", store: "Store", *, quiet: bool, invocation: str
) -> None:
    """Computes this process's cells; the first process then waits for the others' rows, and the others end here."""
    from shared.lab import cell_id, run

    rank, count = rank_and_count()
    run(experiment, cells[rank::count], store, quiet=quiet or rank > 0, invocation=invocation)
    if rank:
        sys.exit(0)
    ids = {cell_id(experiment, cell) for cell in cells}
    while ids - {row.id for row in store.rows(experiment.name)}:
        time.sleep(SECONDS_BETWEEN_LOOKS)  # torchrun ends all processes where one fails
