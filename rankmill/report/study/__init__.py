"""The report of a study: what it answers, its tables, its page, its files."""
