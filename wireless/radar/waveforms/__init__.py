"""Pulses by their textbook laws: parameters, phases, and the catalogue of classes."""
