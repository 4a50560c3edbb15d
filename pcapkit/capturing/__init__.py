"""Captures straight from a pod, by kubectl."""
