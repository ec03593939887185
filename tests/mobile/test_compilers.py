"""Which compiler is run: the one that is asked for, else the first that is there; a missing one is one line."""

import importlib.util
import shutil

import numpy as np
import pytest

from mobile.build.check import check, stimuli
from mobile.build.compile import compile_program
from mobile.build.example import example
from mobile.codegen.library import library
from mobile.lowering.lower import lower
from mobile.runtime import compiler
from mobile.runtime.compiler import CompilerError, build, find
from mobile.runtime.net import CompiledNet

PROGRAM = example(np.random.default_rng(0))


@pytest.fixture
def there(monkeypatch):
    """Says which programs and packages there are."""

    def state(*names):
        monkeypatch.delenv("CC", raising=False)
        monkeypatch.setattr(compiler.shutil, "which", lambda name: f"/bin/{name}" if name in names else None)
        monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: True if name in names else None)

    return state


@pytest.mark.parametrize(
    ("target", "names", "expected"),
    [
        (None, ("cc", "clang", "gcc", "ziglang"), "gcc"),
        (None, ("cc", "clang", "ziglang"), "clang"),
        (None, ("cc", "ziglang"), "cc"),
        (None, ("ziglang",), "zig cc"),
        ("arm64", ("gcc", "aarch64-linux-gnu-gcc", "ziglang"), "aarch64-linux-gnu-gcc"),
        ("arm64", ("gcc", "ziglang"), "zig cc"),
    ],
)
def test_the_first_that_is_there_is_run(there, monkeypatch, target, names, expected):
    monkeypatch.setattr(compiler, "architecture", lambda: "x86_64")
    there(*names)
    assert find(target).name == expected


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "a C compiler is needed, but none of gcc, clang, cc and ziglang is there: install one"),
        ("arm64", "a C compiler for arm64 is needed, but neither ziglang nor aarch64-linux-gnu-gcc is there"),
    ],
)
def test_none_is_one_line_with_the_way_out(there, monkeypatch, target, message):
    monkeypatch.setattr(compiler, "architecture", lambda: "x86_64")
    there()
    with pytest.raises(CompilerError, match=message) as caught:
        find(target)
    assert "python -m pip install ziglang" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="needs ziglang: pip install ziglang")
def test_the_compiler_of_pip_alone_is_enough(tmp_path, monkeypatch):
    which = shutil.which
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None if name in ("gcc", "clang", "cc") else which(name))
    net = CompiledNet(build(library(lower(PROGRAM, format="2x4")), tmp_path, "net.so", shared=True), PROGRAM)
    assert all(each.mismatches == 0 for each in check(net, stimuli(PROGRAM, 4, np.random.default_rng(0))))


def test_without_an_emulator_programs_are_compiled_and_the_note_says_so(monkeypatch):
    from mobile.build import cross

    monkeypatch.setattr(cross, "emulator", lambda target: None)
    try:
        find("arm64")
    except CompilerError as error:
        pytest.skip(str(error))
    compiled = compile_program(PROGRAM, np.random.default_rng(0), format="dense", count=2, target="arm64").cross
    assert compiled.files["pipe-arm64"][:4] == b"\x7fELF"
    assert set(compiled.files) == {"pipe-arm64", "bench-arm64", "libnet-arm64.a"}
    assert compiled.note == (
        "compiled for arm64 but not run: qemu-aarch64 or qemu-aarch64-static is not there "
        "(Debian: apt install qemu-user)"
    )
