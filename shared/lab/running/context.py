"""What a running cell receives: randomness, progress, artefacts, and steps that survive kill -9."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.lab.records.identity import JSON, to_json_data
from shared.lab.records.store import Store, check_artefact

if TYPE_CHECKING:
    import numpy as np
    import torch

Progress: TypeAlias = Callable[[int, int, str], None]
"""Receives how many parts are finished, of how many, and a note on the current one."""


class Context:
    """The cell's link to the lab; `Experiment.run` receives one.

    `rng` is seeded by the cell's seed and is the only randomness a cell may use; `generator` is the same for torch.
    """

    def __init__(self, store: Store, id: str, seed: int, show: Progress) -> None:
        import numpy as np

        self.rng = np.random.default_rng(seed)
        self.artefacts: dict[str, str] = {}
        self.resumed = 0
        self._store, self._id, self._show = store, id, show
        self._steps = store.steps(id)
        self._stored = {step["key"]: step for step in self._steps.read()}
        self._began = time.perf_counter(), time.process_time()
        with self._step_file_named():
            self._earlier = [
                max((float(step["spent"][k]) for step in self._stored.values()), default=0.0) for k in (0, 1)
            ]
        self._used: set[str] = set()
        self._tensors: dict[str, str] = {}
        self._stages, self._finished = 0, 0

    def generator(self) -> "torch.Generator":
        """A torch generator seeded by `rng`: call it inside a stage, so that the stage's record holds its state."""
        import torch

        return torch.Generator().manual_seed(int(self.rng.integers(2**63)))

    @property
    def spent(self) -> tuple[float, float]:
        """Wall and CPU time (s) of this cell: since now, and of earlier attempts up to their last finished step."""
        now = time.perf_counter(), time.process_time()
        wall, cpu = (earlier + end - began for earlier, end, began in zip(self._earlier, now, self._began, strict=True))
        return wall, cpu

    def plan(self, stages: int) -> None:
        """Announce how many stages the cell has, for the display alone: progress inside one then goes to the note."""
        self._stages = stages

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` parts of this cell, or of the current stage, are finished.

        Cheap enough for an inner loop.
        """
        if self._stages:
            self._show(self._finished, self._stages, f"{note} {done}/{total}" if total else note)
        else:
            self._show(done, total, note)

    def artefact(self, name: str, data: bytes) -> str:
        """Keep `data` in the store under its SHA-256, returned, and list it in the row as `name`, a plain file name."""
        check_artefact(name, sha256 := self._store.put(data))
        self.artefacts[name] = sha256
        return sha256

    def read_artefact(self, name: str) -> bytes:
        """What `artefact` has kept under `name`, in this process or before a kill."""
        return self._store.get(self.artefacts[name])

    def save_tensors(self, name: str, tensors: "Mapping[str, torch.Tensor]") -> None:
        """Keep `tensors` under `name` for `load_tensors`, as a safetensors file that lives until the row is finished.

        Call it inside a stage, whose record then names them.
        """
        from safetensors.torch import save

        # Each a copy of its own: safetensors refuses tensors that share memory.
        data = save({key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()})
        self._tensors[name] = self._store.put_step(self._id, data)

    def load_tensors(self, name: str) -> "dict[str, torch.Tensor]":
        """The tensors that `save_tensors` has kept under `name`, on the CPU, in this process or before a kill."""
        from safetensors.torch import load

        return load(self._store.get_step(self._id, self._tensors[name]))

    def tensors(self, name: str, compute: "Callable[[], Mapping[str, torch.Tensor]]") -> "dict[str, torch.Tensor]":
        """A stage whose result is tensors by name, such as a `state_dict`, on the CPU; computed once."""
        self.stage(name, lambda: self.save_tensors(name, compute()))
        return self.load_tensors(name)

    def stage(self, name: str, compute: Callable[[], JSON]) -> Any:
        """A checkpoint under `name` that is announced and counted; see `plan`."""
        self._stages = max(self._stages, self._finished + 1)
        self.progress(0, 0, name)
        value = self.checkpoint(name, compute)
        self._finished += 1
        return value

    def checkpoint(self, key: str, compute: Callable[[], JSON]) -> Any:
        """`compute()` as JSON data, computed once: after a kill the stored value is returned instead.

        `rng`, artefacts and tensors are stored with it, so that what follows is the same as if nothing had happened.
        Raises ValueError if `key` is used twice in a cell.
        """
        if key in self._used:
            raise ValueError(f"checkpoint({key!r}) was called twice in one cell: give each step its own key")
        self._used.add(key)
        if key in self._stored:
            return self._restore(self._stored[key])
        before = dict(self.artefacts), dict(self._tensors)
        value = to_json_data(compute(), key)
        files = {"artefacts": _added(before[0], self.artefacts), "tensors": _added(before[1], self._tensors)}
        self._steps.append({"key": key, "value": value, **files, "rng": self._rng_state(), "spent": self.spent})
        return value

    def _restore(self, step: dict[str, Any]) -> Any:
        self.resumed += 1
        with self._step_file_named():
            for name, sha256 in step["artefacts"].items():
                check_artefact(name, sha256)
            self.artefacts |= step["artefacts"]
            self._tensors |= step["tensors"]
            self.rng.bit_generator.state = step["rng"]["state"]
            seeds = self._seeds()
            # `Generator.spawn` counts its children in the seed sequence, which the state does not hold.
            if missing := step["rng"]["children"] - seeds.n_children_spawned:
                seeds.spawn(missing)
            return step["value"]

    @contextmanager
    def _step_file_named(self) -> Iterator[None]:
        """Errors in what a file of steps holds name the file and the way out."""
        try:
            yield
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(
                f"{self._steps.path} is not a file of steps ({reason}); delete it, and the cell begins again"
            ) from error

    def _rng_state(self) -> dict[str, Any]:
        return {"state": to_json_data(self.rng.bit_generator.state), "children": self._seeds().n_children_spawned}

    def _seeds(self) -> "np.random.SeedSequence":
        import numpy as np

        seeds = self.rng.bit_generator.seed_seq
        assert isinstance(seeds, np.random.SeedSequence)
        return seeds


def _added(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    return dict(now.items() - before.items())
