"""What artifacts were made from and what that cost: the graph, its layout, its pictures."""
