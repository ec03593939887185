"""What 8-bit multiplications cost a classifier: experiment, figures, page."""
