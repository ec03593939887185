"""What every generator gives and every flow takes: the design, its streams, the devices."""
