"""What happens to a waveform on its way: fading, noise, front ends."""
