"""Circuits on noisy devices: exact expectations, finite shots, error attribution, noise-aware training and drift.

`engine` evaluates a compiled circuit under the noise of a device. `workload` is a compiled circuit with its inputs and
its score (`energy` for a Hamiltonian), `robustness` the report about it, with `attribution`, `drift` and `zne`.
`tuning` trains compiled angles under noise, and `repository` selects one of several circuits by today's calibration.
`experiment` and `page` make the report from settings; `circuit_source` reads the circuits that they name.
"""
