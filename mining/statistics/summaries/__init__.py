"""What whole data sets look like: moments, correlations, decay with rank, Theorem 2.1."""
