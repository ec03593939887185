"""What every test may ask for: the command line in a process of its own; and what runs where there is no torch."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# `tox -e core312` runs where a build of torch may be missing for that Python: what needs it is skipped there.
WITHOUT_TORCH = f"torch is not installed for Python {sys.version_info.major}.{sys.version_info.minor}"
if not find_spec("torch"):
    collect_ignore = ["shared"]  # all of it needs torch

    class WithoutTorch(pytest.Module):
        """A test file, skipped if it imports torch."""

        def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
            try:
                yield from super().collect()
            except self.CollectError as error:
                _skip_for_torch(error.__cause__)
                raise

    def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> WithoutTorch:
        return WithoutTorch.from_parent(parent, path=module_path)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call() -> Iterator[None]:
        try:
            yield
        except ModuleNotFoundError as error:
            _skip_for_torch(error)
            raise

    def pytest_report_header() -> str:
        return f"{WITHOUT_TORCH}: tests/shared and the tests that import torch are skipped"


def _skip_for_torch(error: BaseException | None) -> None:
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        pytest.skip(WITHOUT_TORCH)


@pytest.fixture(autouse=True)
def _seed() -> None:
    """What a test draws from torch's own generator does not depend on the tests before it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def environment(**changes: str) -> Mapping[str, str]:
    """This process's environment, in which the packages here and the toy experiments can be imported."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "lab")]), **changes}


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python WORDS` in an empty folder and returns what it printed."""

    def call(*words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(**changes),
            timeout=120,
            check=False,
        )

    return call


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts `qwedge WORDS` in an empty folder and does not wait for it."""
    started: list[subprocess.Popen[str]] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # children inherit that it is ignored, as under nohup

    def call(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "qwedge", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment(),
        )
        started.append(process)
        return process

    yield call
    signal.signal(signal.SIGHUP, before)
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
