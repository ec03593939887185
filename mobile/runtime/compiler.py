"""C compilers, of this machine and for Arm: looked for, asked for a version, run; kernels compiled once for each."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from mobile.kernels import Architecture, architecture, sources
from shared.lab import JSON, cache_folder, canonical, hash_bytes, write_atomic
from shared.lab.running import guard

FLAGS: Final = ("-std=c11", "-O3", "-fPIC", "-Wall", "-Wextra", "-Wconversion")
"""Everything is compiled without a warning; a test compiles with `-Werror`."""
SANITIZERS: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SECONDS: Final = 1800
"""A compiler that takes longer is stopped."""
ARM: Final = "aarch64-linux-gnu-gcc"
"""The compiler of Debian and others."""


class CompilerError(OSError):
    """A compiler that is missing or failed."""


class Compiler(NamedTuple):
    """What is run, with what has to be said to it."""

    command: tuple[str, ...]
    own_flags: tuple[str, ...] = ()
    archiver: tuple[str, ...] = ("ar",)

    @property
    def name(self) -> str:
        """For people."""
        return "zig cc" if "ziglang" in self.command else Path(self.command[0]).name


def find(target: Architecture | None = None) -> Compiler:
    """A compiler for this machine: the program of the environment's `CC`, else gcc, clang, cc, or ziglang of pip.

    For another architecture gcc's cross compiler, else ziglang. Raises `CompilerError` if there is none.
    """
    if target in (None, architecture()):
        return _native()
    if target != "arm64":
        raise CompilerError(f"there is no cross compiler for {target} on {architecture()}: compile on such a machine")
    if path := shutil.which(ARM):
        return Compiler((path,), archiver=(path.removesuffix("gcc") + "ar",))
    if zig := _ziglang("-target", "aarch64-linux-musl"):
        return zig
    raise CompilerError(
        f"a C compiler for arm64 is needed, but neither ziglang nor {ARM} is there: "
        "python -m pip install ziglang (Debian: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross)"
    )


def _native() -> Compiler:
    wanted = os.environ.get("CC")
    for name in (wanted,) if wanted else ("gcc", "clang", "cc"):
        if path := shutil.which(name):
            return Compiler((path,))
    if not wanted and (zig := _ziglang()):
        return zig
    asked = f"CC={wanted} is no program" if wanted else "none of gcc, clang, cc and ziglang is there"
    raise CompilerError(
        f"a C compiler is needed, but {asked}: "
        "install one (Debian: apt install gcc; anywhere: python -m pip install ziglang), or set CC"
    )


def _ziglang(*target: str) -> Compiler | None:
    """The compiler of the package ziglang; below -O2 it would add checks of its own."""
    if importlib.util.find_spec("ziglang") is None:
        return None
    zig = (sys.executable, "-m", "ziglang")
    return Compiler((*zig, "cc"), (*target, "-fno-sanitize=undefined"), (*zig, "ar"))


@lru_cache
def version(compiler: Compiler) -> str:
    """The first line of what a compiler says of itself, and for which other architecture it is."""
    done = subprocess.run([*compiler.command, "--version"], capture_output=True, text=True, timeout=60)
    return " ".join([next(iter(done.stdout.splitlines()), ""), *compiler.own_flags[1:2]])


def run(arguments: Sequence[str], folder: Path, target: Architecture | None = None) -> None:
    """Runs the compiler in a folder; raises `CompilerError` with its first error if it fails."""
    compiler = find(target)
    _run(compiler.name, [*compiler.command, *compiler.own_flags, *arguments], folder)


def _run(name: str, words: Sequence[str], folder: Path) -> None:
    path = folder / "compiler.log"
    with open(path, "wb") as log, guard.start(list(words), folder, log) as process:
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise CompilerError(f"{name} was stopped after {SECONDS} s: the net is too large") from None
    if code:
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
        reason = next((line for line in lines if "error" in line), (lines or ["it wrote nothing"])[-1])
        raise CompilerError(f"{name} failed with exit status {code}: {reason}")


def build(
    files: Mapping[str, bytes],
    folder: Path,
    output: str,
    *,
    shared: bool,
    flags: Sequence[str] = (),
    target: Architecture | None = None,
) -> Path:
    """The shared library `net.so`, or the program `output`, whose main is `output` with `.c`; writes the files first.

    A program for another architecture needs nothing of the system that it runs on. A folder is for one net with one set
    of flags and one target: what was compiled there is not compiled again.
    """
    for name, data in files.items():
        (folder / name).write_bytes(data)
    kernels = _kernels(tuple(flags), target)
    if not (folder / "net.o").exists():  # one for the library and the programs
        # A net is constants and calls: optimising it takes long and changes nothing.
        run([*FLAGS, "-O1", *flags, "-c", "net.c", "-o", "net.o"], folder, target)
        run([*FLAGS, "-O1", *flags, "-c", "threads.c", "-o", "threads.o"], folder, target)
    own = ["-shared"] if shared else [f"{output}.c", *(["-static"] if target else [])]
    run(
        [*FLAGS, "-O1", *flags, *own, "net.o", "threads.o", str(kernels), "-pthread", "-lm", "-o", output],
        folder,
        target,
    )
    return folder / output


def archive(folder: Path, output: str, target: Architecture | None = None) -> Path:
    """The static library of a net that was compiled in a folder."""
    archiver = find(target).archiver
    _run(Path(archiver[-1]).name, [*archiver, "rcs", output, "net.o", "threads.o", str(_kernels((), target))], folder)
    return folder / output


def _kernels(flags: tuple[str, ...], target: Architecture | None) -> Path:
    """The kernels as an object file: the same for every net, so kept in the cache."""
    named = {name: hash_bytes(data) for name, data in sources().items()}
    about: dict[str, JSON] = {"sources": named, "compiler": version(find(target)), "flags": [*FLAGS, *flags]}
    key = hash_bytes(canonical(about).encode())
    path = cache_folder() / "mobile" / f"kernels-{key[:24]}.o"
    if not path.exists():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for name, data in sources().items():
                (folder / name).write_bytes(data)
            run([*FLAGS, *flags, "-c", "kernels.c", "-o", "kernels.o"], folder, target)
            write_atomic(path, (folder / "kernels.o").read_bytes())
    return path
