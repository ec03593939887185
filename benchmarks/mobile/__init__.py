"""Compiled nets beside other runtimes: `python -m benchmarks.mobile`."""

from benchmarks.mobile.derived import figures as figures
