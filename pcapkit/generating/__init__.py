"""Captures of made-up traffic whose truth is known, played by the rules of resolvers."""
