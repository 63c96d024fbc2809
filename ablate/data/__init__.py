"""Data sets as uint8 tensors, and augmentations as functions on a batch. Knows nothing of models."""
