"""Teacher scores that another tool wrote."""
