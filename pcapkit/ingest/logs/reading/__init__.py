"""Sources that are lines of text, from their bytes to windows of messages."""
