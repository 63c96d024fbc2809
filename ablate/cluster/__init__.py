"""Grids on SLURM: submitting them as job arrays, what a task of one does, what SLURM says of them."""
