"""Row tables: lookups and transactions of all clients in order of time, as frames."""
