"""The experiment `ofdm`: its settings and cells, the networks of a cell, and its page."""
