"""Captures of made-up traffic whose truth is known: what a resolver sends is played by its rules."""
