"""Devices and their calibration: by name, snapshot file, coupling map or Qiskit target."""
