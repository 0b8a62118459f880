"""The command line: commands made from the requests, what they print, progress, doctor."""

from rankmill.cli.entry import app_of, main

__all__ = ["app_of", "main"]
