"""What stub resolvers do: the rules of each, and a walk of one by them."""
