"""The experiment `ofdm`: all networks of a run, its tables and its page."""
