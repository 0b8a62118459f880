"""What is wrong with groups, and why a document is in one."""
