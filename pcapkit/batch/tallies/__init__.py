"""Tallies: made of captures or of parts of them, anywhere, and merged."""
