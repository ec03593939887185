"""Cases of the folder `wireless`."""

from benchmarks.cases.case import Case

CASES: list[Case] = []
