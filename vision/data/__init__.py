"""CIFAR-10 from an archive of JPEG files, and its augmentation for training."""
