"""Models of what distorts a waveform: multipath fading, noise, and the front ends of radios."""
