"""Runs and pools: ranked lists of one source, and their union with every rank and score."""
