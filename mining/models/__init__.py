"""Models: where a checkpoint comes from, forward passes, encoders and their vectors."""
