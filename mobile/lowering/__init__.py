"""Integer programs and float nets as kernel calls on values in one arena: formats of weights, lifetimes."""
