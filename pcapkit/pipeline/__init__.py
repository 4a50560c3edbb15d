"""From captures to an analysis: collect, then read, then count, simulate and advise."""
