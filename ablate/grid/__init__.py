"""Grids of runs: which cells to train, and where."""
