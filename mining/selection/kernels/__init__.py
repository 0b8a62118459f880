"""Choosing for whole ranges of pool rows by kernels, in place of query by query."""
