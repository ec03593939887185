"""The program of a library, built in a folder and run here or in an emulator."""

from mobile.kernels import architecture
from mobile.runtime.compiler import build
from mobile.runtime.piped import PipedNet, emulator


def piped(files, folder, *, flags=(), target=None):
    program = build(files, folder, "pipe", shared=False, flags=flags, target=target)
    target = target or architecture()
    return PipedNet(program, target, emulator(target))
