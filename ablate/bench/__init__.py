"""How fast the harness is and what it costs, measured on this machine."""
