"""The toy experiments of tests/lab serve the command line too."""

import sys
from importlib.util import find_spec
from pathlib import Path

# The noise verb needs the quantum extra; without it the rest of the command line is still tested.
collect_ignore = [] if find_spec("qiskit") else ["test_noise_cli.py"]

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))
