"""What the traffic of a part shows beside its lookups: signs, nameservers, the vantage."""
