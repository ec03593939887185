"""CompVQC: compression of a trained circuit for a device, with its controls, its experiment and its page."""
