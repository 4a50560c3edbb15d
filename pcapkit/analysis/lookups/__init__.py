"""Transactions grouped into lookups, with base name, outcome and waste class of each query."""
