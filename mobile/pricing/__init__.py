"""What kernel calls cost on this machine: measured once, a law fitted, and a price for the core."""
