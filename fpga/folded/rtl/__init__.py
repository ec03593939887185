"""The Verilog of a plan, one part per file."""
