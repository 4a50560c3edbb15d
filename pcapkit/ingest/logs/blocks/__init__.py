"""Lines by the block: compiled readers of the usual shapes, which fill rows."""
