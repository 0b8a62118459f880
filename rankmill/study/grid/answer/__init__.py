"""The answer of a study: what its cells cost, what they gain for it, and which to take."""
