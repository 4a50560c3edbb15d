"""Domain names: as text, as wire bytes, as ids of an interner."""
