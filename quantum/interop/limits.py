"""Limits of circuit files: without them a few bytes can describe more gates or qubits than fit in memory."""

MOST_WIRES = 999
"""Qubits or bits in a register."""

MOST_GATES = 20_000
"""Gates after all definitions are expanded."""

MOST_CONTROLS = 4
"""Controls that modifiers add to a gate, definitions included."""

MOST_POWER_QUBITS = 4
"""Qubits of a gate under `pow`, which is computed from its matrix."""

MOST_BYTES = 8 * 2**20
"""Bytes of a circuit file."""

MOST_IDLE_WIRES = 24
"""Wires above which idle ones are left out: a state on more cannot be simulated, so their number means the device."""
