"""Labelled sets of pulses: recipes that rebuild them, files, and the layouts of public sets."""
