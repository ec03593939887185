"""Every test here needs Pillow and safetensors, which the vision extra installs; pictures are drawn by the tests."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore_glob = [] if find_spec("PIL") and find_spec("safetensors") else ["test_*.py"]
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own for decoded pictures."""
    monkeypatch.setenv("QWEDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
