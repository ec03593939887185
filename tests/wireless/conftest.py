"""Every test here needs Numba, which the wireless extra installs; the recordings of real frames are asked for."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

collect_ignore_glob = [] if find_spec("numba") else ["test_*.py"]
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def rng() -> np.random.Generator:
    """The same draws in every run."""
    return np.random.default_rng(80211)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings, under the one that the variable QWEDGE_DATA names."""
    folder = Path(os.environ.get("QWEDGE_DATA", "")) / "wifi80211"
    if "QWEDGE_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("needs recordings: set QWEDGE_DATA to a folder that has wifi80211")
    return folder
