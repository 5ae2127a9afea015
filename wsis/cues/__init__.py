"""Pre-computed labels of the anti-noise branch."""
