"""The neural blocks pruned, packed and in fixed point."""
