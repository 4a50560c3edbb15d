"""The search list of each client: what its names prove, and in which period."""
