"""What a study costs: ledgers and prices, what is charged to whom, cost against gain."""
