"""Kubernetes' conventions: a pod's ndots and search list, the namespace that a list names."""

from __future__ import annotations

from collections.abc import Sequence

KUBERNETES_NDOTS = 5

#: The list of a pod in the namespace ``default``, where none is given.
KUBERNETES_SEARCH = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")


def namespace_of(search: Sequence[str]) -> str | None:
    """Return the namespace that a Kubernetes search list's first suffix names."""
    if search:
        labels = search[0].split(".")
        if len(labels) > 2 and labels[1] == "svc":
            return labels[0]
    return None
