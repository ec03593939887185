"""One file per claim: `python -m benchmarks.NAME [--quick] [--seed N] [--json FILE]`."""
