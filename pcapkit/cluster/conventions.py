"""Kubernetes' conventions: a pod's ndots and search list, the namespace that a list names."""

from __future__ import annotations

from collections.abc import Sequence

KUBERNETES_NDOTS = 5
#: Where a cluster's own domain is not known.
CLUSTER_DOMAIN = "cluster.local"
#: The label under which services have their names.
SERVICES = "svc"


def pod_search(namespace: str, domain: str = CLUSTER_DOMAIN) -> tuple[str, ...]:
    """Return the search list of a pod, without its node's suffixes."""
    return (f"{namespace}.{SERVICES}.{domain}", f"{SERVICES}.{domain}", domain)


#: The list of a pod where nothing says its namespace.
KUBERNETES_SEARCH = pod_search("default")


def namespace_of(search: Sequence[str]) -> str | None:
    """Return the namespace that a Kubernetes search list's first suffix names."""
    if search:
        labels = search[0].split(".")
        if len(labels) > 2 and labels[1] == SERVICES:
            return labels[0]
    return None
