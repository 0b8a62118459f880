"""Bounds of what comes from outside, before anything is believed or allocated."""
