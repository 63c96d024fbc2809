"""Training: setup, step, loop, evaluation, checkpoints. Knows nothing of records."""
