"""What a run must keep to: rules, what is held against them, and how that is reported."""
