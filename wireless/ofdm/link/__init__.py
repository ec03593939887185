"""Packets through a channel to any receiver, paired; errors counted."""
