"""Making an artifact that is missing: its parts, or its files, by one process or by several."""
