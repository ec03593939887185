"""How nets are trained: one step loop, resumable epochs, data and devices."""
