"""What happens to pulses on their way: a second pulse, multipath, oscillators, noise."""
