"""Formats of trainers of rankers and sparse or late-interaction models, and plain tables."""
