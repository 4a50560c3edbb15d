"""Sources that are not packet captures: lines of text, JSON records and dnstap."""
