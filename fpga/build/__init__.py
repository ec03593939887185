"""From an integer program to a bitstream: design constraints, the flow, verification at every step, the page."""
