"""What a forward pass is made of: batches, attention without padding, and what reads the result."""
