"""Formats of trainers of embedding models."""
