"""What the harness costs and how fast it is, measured on this machine in interleaved runs."""
