"""The page and its charts: one self-contained file that opens offline."""
