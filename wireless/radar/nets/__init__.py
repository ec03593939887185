"""Nets that tell waveforms apart, by name."""
