"""Compilation with Qiskit's transpiler: counts, compile-only controls, and the cost of each angle level."""
