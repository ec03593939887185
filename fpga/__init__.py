"""FPGAs: an integer program becomes RTL, the RTL a bitstream, and every step on the way is compared bit for bit."""
