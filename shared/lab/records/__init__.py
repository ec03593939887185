"""What is kept of a run: settings, identity, rows, provenance, and statistics over them."""
