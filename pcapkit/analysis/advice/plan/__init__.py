"""Plans: the fewest changes that end most of the waste, proven together."""
