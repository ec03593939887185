"""The 802.11 OFDM physical layer in both directions: one part of the standard per file."""
