"""How many multipliers each engine gets: folding choices, clocks, block RAMs, and the plan that fits."""
