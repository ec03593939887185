"""Cases of the folder `quantum`."""

from benchmarks.cases.case import Case

CASES: list[Case] = []
