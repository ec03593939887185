"""Puts this folder's shared modules where the tests can import them, and simulators where nobody else finds them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "shared"))  # its integer_programs


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory):
    """A folder of this session's own for compiled simulators: one that an older Qwedge built must not pass a test."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("QWEDGE_CACHE", str(folder))
        yield folder
