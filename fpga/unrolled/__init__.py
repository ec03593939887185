"""Every weight as adders: a sample at every clock."""
