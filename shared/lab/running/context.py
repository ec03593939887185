"""What a running cell is handed: randomness, progress, artefacts, and steps that survive kill -9."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from shared.lab.records.identity import JSON, plain
from shared.lab.records.store import Store

Report: TypeAlias = Callable[[int, int, str], None]


class Context:
    """The cell's link to the lab; `Experiment.run` receives one.

    `rng` is seeded by the cell's seed and is the only randomness a cell may use; for torch take
    `torch.Generator().manual_seed(int(context.rng.integers(2**63)))`.
    """

    def __init__(self, store: Store, id: str, seed: int, report: Report) -> None:
        self.rng = np.random.default_rng(seed)
        self.artefacts: dict[str, str] = {}
        self.resumed = 0
        self._store, self._report = store, report
        self._steps = store.steps(id)
        self._known = {step["key"]: step for step in self._steps.read()}
        self._used: set[str] = set()

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Say that `done` of `total` parts of this cell are finished; cheap enough for an inner loop."""
        self._report(done, total, note)

    def artefact(self, name: str, data: bytes) -> str:
        """Keep `data` in the store under its SHA-256, returned, and list it in the row as `name`."""
        self.artefacts[name] = self._store.put(data)
        return self.artefacts[name]

    def checkpoint(self, key: str, compute: Callable[[], JSON]) -> Any:
        """`compute()` as JSON data, computed once: after a kill the stored value is returned instead.

        `rng` and the artefacts are stored with it, so that what follows is the same as if nothing had happened.
        Raises ValueError if `key` is used twice in a cell.
        """
        if key in self._used:
            raise ValueError(f"checkpoint({key!r}) was called twice in one cell: give each step its own key")
        self._used.add(key)
        if key in self._known:
            return self._restore(self._known[key])
        before = set(self.artefacts.items())
        value = plain(compute(), key)
        made = dict(set(self.artefacts.items()) - before)
        self._steps.append({"key": key, "value": value, "artefacts": made, "rng": self._rng_state()})
        return value

    def _restore(self, step: dict[str, Any]) -> Any:
        self.resumed += 1
        self.artefacts |= step["artefacts"]
        self.rng.bit_generator.state = step["rng"]["state"]
        seeds = self._seeds()
        # `Generator.spawn` counts its children in the seed sequence, which the state does not hold.
        if missing := step["rng"]["children"] - seeds.n_children_spawned:
            seeds.spawn(missing)
        return step["value"]

    def _rng_state(self) -> dict[str, Any]:
        return {"state": plain(self.rng.bit_generator.state), "children": self._seeds().n_children_spawned}

    def _seeds(self) -> np.random.SeedSequence:
        seeds = self.rng.bit_generator.seed_seq
        assert isinstance(seeds, np.random.SeedSequence)
        return seeds
