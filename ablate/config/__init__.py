"""A run's configuration: its schema, its checks, its one resolved form. Imports no torch."""
