"""Networks: units in stages, each unit with a shortcut h(x)."""
