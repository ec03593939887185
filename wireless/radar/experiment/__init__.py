"""The experiment `radar`: nets trained, compressed and counted beside the Bayes bound."""
