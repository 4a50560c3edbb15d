"""Messages to lookups: pairing, inference, waste, what-if, advice."""
