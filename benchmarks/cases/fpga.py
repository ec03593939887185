"""Cases of the folder `fpga`."""

from benchmarks.cases.case import Case

CASES: list[Case] = []
