"""The exact noise engine: channels, Pauli transfer, Heisenberg propagation, trajectories."""
