"""Declared claims about the cells of a study, tested."""
