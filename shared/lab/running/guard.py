"""A program that ends with the process that started it, whatever ended that one.

`start` runs it in a process group of its own under a guard, a small Python process that holds one end of a pipe. When
the pipe closes, because the starter was killed by SIGKILL or lost its power, the guard ends the group. A parent-death
signal would reach the program alone, not what it starts, and would come when the thread that started it ends.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def start(command: Sequence[str], folder: Path, output: BinaryIO) -> "Iterator[subprocess.Popen[bytes]]":
    """Runs `command` in `folder` while the block runs; what it writes goes to `output`, and it ends with the block.

    The process is the guard's; its exit code is that of the program.
    """
    guard = [sys.executable, "-I", "-S", __file__, *command]
    process = subprocess.Popen(
        guard, cwd=folder, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, process_group=0
    )
    try:
        yield process
    finally:
        # A program that was killed leaves behind what it has started.
        if process.poll() != 0:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def _guard(command: Sequence[str]) -> int:
    """Run `command` to its end and end as it did; end the group when stdin is closed."""
    threading.Thread(target=_end_with_starter, daemon=True).start()
    code = subprocess.call(command, stdin=subprocess.DEVNULL)
    if code < 0:
        with suppress(OSError):  # SIGKILL has no handler to take back
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _end_with_starter() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(_guard(sys.argv[1:]))
