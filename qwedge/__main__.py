"""`python -m qwedge` is `qwedge`."""

from qwedge.cli import main

main()
