"""Compiled nets need a C compiler; the random programs of tests/shared serve here too."""

import sys
from pathlib import Path

import pytest

from mobile.runtime.compiler import CompilerError, find

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "shared")]


@pytest.fixture(autouse=True, scope="session")
def compiler():
    """The compiler of this machine; without one these tests are skipped and say what is missing."""
    try:
        return find()
    except CompilerError as error:
        pytest.skip(str(error))
