"""The frozen records that travel between the stages and out to callers."""
