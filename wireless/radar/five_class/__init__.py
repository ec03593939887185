"""Five simple waveforms in 8 bits and a net of 9,709 weights: what the FPGA figures are of."""
