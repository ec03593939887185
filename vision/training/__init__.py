"""How classifiers are trained in stages that survive a kill, and counted."""
