"""Statistics for paired comparisons over topics and seeds: arrays in, result objects out, NumPy and SciPy only."""
