"""Pruning-as-Search: widths of layers learned by gradient, for any torch module whose channels are followed."""
