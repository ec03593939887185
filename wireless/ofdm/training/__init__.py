"""How the neural blocks are trained."""
