"""Cases of the folder `reliability`."""

from benchmarks.cases.case import Case

CASES: list[Case] = []
