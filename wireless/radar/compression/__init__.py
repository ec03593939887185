"""The techniques of compression that are compared, all at equal training."""
