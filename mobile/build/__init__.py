"""From a net to a checked library: the whole way as one call, its check, experiment and page."""
