"""Many captures: finding them, analysing each, an index over all."""
