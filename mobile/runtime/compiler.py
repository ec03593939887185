"""The C compiler: found, asked for its version, run; the kernels compiled once per compiler."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from mobile.kernels import sources
from shared.lab import cache_folder, canonical, hash_bytes, write_atomic
from shared.lab.running import guard

FLAGS: Final = ("-std=c11", "-O3", "-fPIC", "-Wall", "-Wextra", "-Wconversion")
"""Everything is compiled without a warning; a test compiles with `-Werror`."""
SANITIZERS: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SECONDS: Final = 1800
"""A compiler that takes longer is stopped."""


class CompilerError(OSError):
    """A compiler that is missing or failed."""


def find() -> str:
    """The program of the environment's `CC`, else gcc, clang or cc.

    Raises `CompilerError` if there is none.
    """
    wanted = os.environ.get("CC")
    for name in (wanted,) if wanted else ("gcc", "clang", "cc"):
        if path := shutil.which(name):
            return path
    asked = f"CC={wanted} is no program" if wanted else "none of gcc, clang and cc is there"
    raise CompilerError(f"a C compiler is needed, but {asked}: install one (Debian: apt install gcc), or set CC")


@lru_cache
def version(compiler: str) -> str:
    """The first line of what a compiler says of itself."""
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60)
    return next(iter(done.stdout.splitlines()), "")


def run(arguments: Sequence[str], folder: Path) -> None:
    """Runs the compiler in a folder; raises `CompilerError` with its first error if it fails."""
    path = folder / "compiler.log"
    with open(path, "wb") as log, guard.start([find(), *arguments], folder, log) as process:
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise CompilerError(f"{Path(find()).name} was stopped after {SECONDS} s: the net is too large") from None
    if code:
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
        reason = next((line for line in lines if "error" in line), (lines or ["it wrote nothing"])[-1])
        raise CompilerError(f"{Path(find()).name} failed with exit status {code}: {reason}")


def build(files: Mapping[str, bytes], folder: Path, output: str, *, shared: bool, flags: Sequence[str] = ()) -> Path:
    """A shared library, or a program with the main of `bench.c`; writes the files of the library first.

    A folder is for one net with one set of flags: what was compiled there is not compiled again.
    """
    for name, data in files.items():
        (folder / name).write_bytes(data)
    kernels = _kernels(tuple(flags))
    if not (folder / "net.o").exists():  # one for the library and the benchmark
        # A net is constants and calls: optimising it takes long and changes nothing.
        run([*FLAGS, "-O1", *flags, "-c", "net.c", "-o", "net.o"], folder)
    own = ["-shared"] if shared else ["bench.c"]
    run([*FLAGS, "-O1", *flags, *own, "net.o", str(kernels), "-lm", "-o", output], folder)
    return folder / output


def _kernels(flags: tuple[str, ...]) -> Path:
    """The kernels as an object file: the same for every net, so kept in the cache."""
    named = {name: hash_bytes(data) for name, data in sources().items()}
    key = hash_bytes(canonical({"sources": named, "compiler": version(find()), "flags": [*FLAGS, *flags]}).encode())
    path = cache_folder() / "mobile" / f"kernels-{key[:24]}.o"
    if not path.exists():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for name, data in sources().items():
                (folder / name).write_bytes(data)
            run([*FLAGS, *flags, "-c", "kernels.c", "-o", "kernels.o"], folder)
            write_atomic(path, (folder / "kernels.o").read_bytes())
    return path
