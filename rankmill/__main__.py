"""`python -m rankmill` is the command line."""

from rankmill.cli import main

main()
