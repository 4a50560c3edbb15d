"""What all captures of an audit say together: sums by groups, one plan, the index."""
