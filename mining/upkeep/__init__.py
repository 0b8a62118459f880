"""Keeping a workspace sound: verify everything, compute parts again, repair what is damaged."""
