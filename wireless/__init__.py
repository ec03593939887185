"""Radio: an OFDM receiver whose every block is legacy or neural, and what it costs."""
