"""Compiled code: how it is declared and kept, and what kernels share."""
