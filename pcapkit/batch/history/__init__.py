"""What audits found night after night: one immutable Parquet file a run, and what follows of it."""
