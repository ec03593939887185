"""What a circuit file may ask for: a few bytes can stand for more gates or qubits than fit in memory."""

MOST_WIRES = 999
"""Qubits or bits in a register."""

MOST_GATES = 20_000
"""Gates when all definitions are expanded."""

MOST_CONTROLS = 4
"""Controls that a modifier adds to a gate."""
