"""Lookups counted into the rows that reports show."""
