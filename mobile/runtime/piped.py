"""The program of a compiled net, run here or in an emulator of another architecture."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mobile.kernels import INSTRUCTION_SETS, Architecture, architecture
from mobile.runtime.compiler import CompilerError

EMULATORS: Final[dict[Architecture, tuple[str, ...]]] = {"arm64": ("qemu-aarch64", "qemu-aarch64-static")}
SECONDS: Final = 1800


def emulator(target: Architecture) -> tuple[str, ...] | None:
    """What runs programs of an architecture: nothing where it is this machine's; None where nothing does."""
    if target == architecture():
        return ()
    paths = filter(None, map(shutil.which, EMULATORS.get(target, ())))
    return next(((path, "-cpu", "max") for path in paths), None)


class PipedNet:
    """`pipe`, started anew for every batch: it computes what it reads."""

    def __init__(self, path: Path, target: Architecture, runner: Sequence[str]) -> None:
        self.path, self.target, self.runner = path, target, tuple(runner)
        self.threads = 1
        self.instructions = self._pipe(b"").stderr.decode().strip()

    def use(self, instructions: str) -> None:
        if instructions not in self.available():
            raise ValueError(f"{self.path.name} cannot use {instructions!r}: it has {', '.join(self.available())}")
        self.instructions = instructions

    def available(self) -> tuple[str, ...]:
        return tuple(name for name in INSTRUCTION_SETS[self.target] if self._pipe(b"", name).returncode == 0)

    def use_threads(self, count: int) -> int:
        self.threads = count
        return count

    def run(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]) -> None:
        """Raises `CompilerError` if the program fails."""
        if not (batch := len(inputs[0])):
            return
        data = b"".join(array[row].tobytes() for row in range(batch) for array in inputs)
        done = self._pipe(data, self.instructions, str(self.threads))
        if done.returncode or len(done.stdout) != sum(array.nbytes for array in outputs):
            reason = done.stderr.decode(errors="replace").strip()
            raise CompilerError(f"{self.path.name} ended with exit status {done.returncode}: {reason}")
        samples = np.frombuffer(done.stdout, np.uint8).reshape(batch, -1)
        begin = 0
        for array in outputs:
            size = array.nbytes // batch
            array.view(np.uint8).reshape(batch, -1)[:] = samples[:, begin : begin + size]
            begin += size

    def _pipe(self, data: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
        command = [*self.runner, str(self.path), *words]
        return subprocess.run(command, input=data, capture_output=True, timeout=SECONDS)
