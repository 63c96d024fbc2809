"""Grids as SLURM job arrays."""
