"""How runs get on: shown on the terminal, and told to `rankmill watch`."""
