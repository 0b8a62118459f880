"""Training groups: their format, the files of other tools, and groups made of groups."""
