"""Circuits on noisy devices: exact expectations, finite shots, where errors come from, and what drifts.

From a device's figures to a page: `channels` and `schedule` say what noise there is and `heisenberg` evaluates it
exactly, over `pauli` and `angles` (`trajectories` where a circuit is too wide); `noisy` is a circuit with its noise,
`workload` one with its data and its purpose, `robustness` the report about it, with `attribution`, `drift` and `zne`.
`tuning` trains its angles under noise, and `repository` picks one of several by today's calibration.
"""
