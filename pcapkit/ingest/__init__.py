"""Bytes to messages: sources, formats, link layers, DNS, duplicates."""
