"""What parts say of themselves: their parameters, what they cost, where they come from."""
