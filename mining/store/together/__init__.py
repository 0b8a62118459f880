"""One workspace for several processes and machines: whose attempts, whose share, what both see."""
