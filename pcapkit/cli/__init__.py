"""The command line: it translates, and computes nothing."""
