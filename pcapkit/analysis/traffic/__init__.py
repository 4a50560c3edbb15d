"""What the traffic of a part shows beside its lookups: marks, nameservers, the vantage."""
