"""What a name stands for: families of parts, and all else that can be described."""
