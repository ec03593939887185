"""What a net costs on an FPGA, as prices and menus of the core, and the fitted estimate of resources."""
