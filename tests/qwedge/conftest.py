"""The toy experiments of tests/lab serve the command line too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))
