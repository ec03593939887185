"""What widths are searched for beside classification: masks of instances, and pictures in a style."""
