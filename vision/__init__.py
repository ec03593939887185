"""Image classifiers for small hardware: data, nets, and their training in fixed point."""
