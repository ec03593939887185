"""Latency-driven slimming: depths, widths and operators of a net cut step by step, by accuracy lost per price saved."""
