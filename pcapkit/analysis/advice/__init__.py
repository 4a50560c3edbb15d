"""What to change: recommendations, and patches to paste."""
