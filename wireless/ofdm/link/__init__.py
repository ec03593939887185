"""Simulated and recorded packets to several receivers at once: error counts, error rates and their intervals."""
