"""Readers of one kind of file each: what columns are called, and rows as Arrow columns."""
