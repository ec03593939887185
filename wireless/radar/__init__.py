"""Radar: waveforms in noise, and nets that tell them apart."""
