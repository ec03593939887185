"""The exact noise engine: device noise as channels, the schedule of idle times, and Heisenberg propagation.

`noisy` is the entry point: a compiled circuit with its noise. Beyond the width of the exact engine, `trajectories`
samples with Aer.
"""
