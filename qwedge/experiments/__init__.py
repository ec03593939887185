"""The experiments of the catalogue, one module each; here domains meet."""
