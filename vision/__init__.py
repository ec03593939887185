"""Image classifiers for small hardware: data, nets, and how they are trained and counted."""
