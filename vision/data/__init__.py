"""CIFAR-10 from an archive, and how training varies it."""
