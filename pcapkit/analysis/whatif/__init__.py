"""What the same lookups would have sent under other settings, and how safe each is."""
