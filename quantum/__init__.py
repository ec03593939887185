"""Variational quantum circuits, compressed for the device that runs them."""
