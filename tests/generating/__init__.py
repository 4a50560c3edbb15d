"""Captures whose truth is known."""
