"""Queries paired with their responses, and kept until they are read."""
