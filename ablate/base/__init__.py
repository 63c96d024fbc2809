"""Errors, files, console output, the machine, seeds and source hashes. Knows nothing of runs."""
