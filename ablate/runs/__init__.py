"""A run: its identity, its folder, its lock, and carrying it out."""
