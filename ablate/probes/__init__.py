"""Measurements inside a network. Pure: each yields (name, value) pairs and changes no computation."""
