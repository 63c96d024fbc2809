"""Datasets as uint8 tensors, and augmentation as functions on a batch. Knows nothing of models."""
