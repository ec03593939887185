"""What a reader sees: pages, tables, plots, comparisons."""
