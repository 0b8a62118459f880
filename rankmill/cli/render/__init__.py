"""All that commands print, for people and as JSON."""
