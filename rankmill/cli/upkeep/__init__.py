"""Commands that keep a workspace small."""
