"""Teachers behind an HTTP endpoint: scores of pairs, and orders of lists."""
