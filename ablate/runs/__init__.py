"""A run: its identity, its folder, and the one that carries it out."""
