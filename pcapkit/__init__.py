"""pcapkit: which names waste DNS queries in Kubernetes pods, and what to change."""

from __future__ import annotations

__version__ = "0.1.0"
