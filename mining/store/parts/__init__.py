"""The parts of an artifact: their records, what is left out of them, the manifest of all."""
