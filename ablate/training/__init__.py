"""The training loop and the learning rate. Knows nothing of where results go."""
