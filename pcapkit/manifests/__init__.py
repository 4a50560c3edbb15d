"""The user's own manifests: where a plan's settings and names stand, and how they change."""
