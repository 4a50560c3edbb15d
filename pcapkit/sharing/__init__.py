"""Pseudonyms of names and addresses under a key, and captures rewritten with them."""
