"""What surrounds a run: full disks, closed streams, limits, faults, and signals that end it."""
