"""From samples of a radio to frames: files, synchronisation, tracking."""
