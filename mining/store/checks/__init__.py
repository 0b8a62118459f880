"""What is compared when an artifact is read, and when it is verified."""
