"""Sentences, numbers and names as every form of a report writes them."""
