"""Training of the neural blocks, and the script that trains those with names."""
