"""Limits of circuit files: without them a few bytes can describe more gates or qubits than fit in memory."""

MOST_WIRES = 999
"""Qubits or bits in a register."""

MOST_GATES = 20_000
"""Gates after all definitions are expanded."""

MOST_CONTROLS = 4
"""Controls that a modifier adds to a gate."""
