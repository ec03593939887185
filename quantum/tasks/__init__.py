"""Tasks that circuits are trained for: classification of labelled data, and energies of Hamiltonians."""
