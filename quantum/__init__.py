"""Variational quantum circuits: trained, compressed for the device that runs them, and evaluated under its noise."""
