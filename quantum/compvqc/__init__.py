"""CompVQC: compress a trained circuit for a device, beside its controls."""
