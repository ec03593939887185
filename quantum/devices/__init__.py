"""Devices by name, snapshot file, coupling list or Qiskit target."""
