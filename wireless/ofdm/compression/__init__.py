"""Compression of the neural blocks: structured pruning, fixed point, and what every block costs."""
