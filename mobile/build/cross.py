"""A net compiled for another architecture, and run in an emulator where there is one."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from mobile.kernels import Architecture
from mobile.runtime.compiler import archive, build, find, version
from mobile.runtime.piped import EMULATORS, PipedNet, emulator

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Cross(Generic[T]):
    """Programs and a static library that need nothing of the system that they run on."""

    target: Architecture
    compiler: str
    files: Mapping[str, bytes]
    checked: T | None
    """How the program compared with the net, as emulated; None where no emulator is installed."""

    @property
    def note(self) -> str:
        """What was not checked, and the way out."""
        if self.checked is not None:
            return ""
        names = " or ".join(EMULATORS[self.target])
        return f"compiled for {self.target} but not run: {names} is not there (Debian: apt install qemu-user)"


def cross_compile(sources: Mapping[str, bytes], target: Architecture, check: Callable[[PipedNet], T]) -> Cross[T]:
    """The programs `pipe` and `bench` and the library of a net's sources; `pipe` is checked if it can be run here.

    Raises `CompilerError` without a compiler for `target`.
    """
    compiler, runner = version(find(target)), emulator(target)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        programs = {name: build(sources, folder, name, shared=False, target=target) for name in ("pipe", "bench")}
        files = {f"{name}-{target}": path.read_bytes() for name, path in programs.items()}
        files[f"libnet-{target}.a"] = archive(folder, "libnet.a", target).read_bytes()
        checked = None if runner is None else check(PipedNet(programs["pipe"], target, runner))
    return Cross(target, compiler, files, checked)
