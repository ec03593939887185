"""How each operation of a torch net becomes fixed-point steps."""
