"""What a capture needs to know of a pod."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from pcapkit.capturing.kubectl import Kubectl
from pcapkit.errors import InputError, UsageError

#: Names of pods and namespaces (RFC 1123 subdomains, as Kubernetes checks them).
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Pod:
    """One running pod; ``addresses`` are its own, both families."""

    namespace: str
    name: str
    node: str
    containers: tuple[str, ...]
    addresses: tuple[str, ...]

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"pod {self.namespace}/{self.name}"


def pod_name(text: str) -> str:
    """Return the name in ``pod/NAME`` or ``NAME``. Raises UsageError for another kind."""
    kind, slash, name = text.rpartition("/")
    if slash and kind not in ("pod", "pods", "po"):
        raise UsageError(f"{text}: name a pod, as pod/NAME; 'kubectl get pods' lists them")
    return checked(name, "pod")


def checked(name: str, what: str) -> str:
    """Return a name that kubectl cannot take for an option. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a {what}")
    return name


def find_pod(kubectl: Kubectl, namespace: str, name: str) -> Pod:
    """Ask for a pod. Raises InputError where it is not there, or is not running."""
    what = f"pod {namespace}/{name}"
    data = kubectl.must(
        what,
        ("get", "pod", name, "-n", namespace, "-o", "json"),
        hint=f"kubectl get pods -n {namespace}",
    )
    try:
        found: dict[str, Any] = json.loads(data)
        status, spec = found["status"], found["spec"]
        phase = status["phase"]
        containers = tuple(str(c["name"]) for c in spec["containers"])
        addresses = tuple(str(a["ip"]) for a in status.get("podIPs", ()))
        node = str(spec.get("nodeName", ""))
    except (ValueError, KeyError, TypeError):
        raise InputError(what, "kubectl printed no pod") from None
    if phase != "Running":
        raise InputError(what, f"it is {phase}, not Running", hint="wait, or name another pod")
    return Pod(namespace, name, node, containers, addresses)
