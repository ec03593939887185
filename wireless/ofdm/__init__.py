"""IEEE 802.11 OFDM at 20 MHz: waveform, channels, and a receiver of interchangeable blocks."""
