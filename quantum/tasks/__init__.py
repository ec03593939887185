"""What is trained: classifiers and energies on labelled data or Hamiltonians."""
