"""Tally files: what reading a capture, or a part of it, gives, to be read on elsewhere."""
