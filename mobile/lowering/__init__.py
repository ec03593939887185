"""An integer program as kernel calls on values in one arena: formats of weights, lifetimes."""
