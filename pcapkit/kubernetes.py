"""What a cluster's own files say about its DNS: Corefiles, and ConfigMaps that hold one."""

from __future__ import annotations

import re
from pathlib import Path

from pcapkit.errors import InputError, UsageError
from pcapkit.names import fold, wire_from_text

_PLUGIN = re.compile(r"^\s*kubernetes\s+(?P<zones>[^{\n#]*)", re.MULTILINE)


def corefile_zones(text: str, *, path: str) -> tuple[str, ...]:
    """Return the zones of the ``kubernetes`` plugin, reverse zones left out.

    ``text`` is a Corefile or the YAML of the ConfigMap that holds it: the plugin's line looks the
    same in both. Raises UsageError where there is none (coredns.io/plugins/kubernetes).
    """
    match = _PLUGIN.search(text)
    if match is None:
        raise UsageError(f"{path}: line 1: no 'kubernetes' plugin in it: not a cluster's Corefile")
    zones = tuple(
        fold(z) for z in match["zones"].split()
        if not z.lower().rstrip(".").endswith(("in-addr.arpa", "ip6.arpa"))
    )  # fmt: skip
    return zones or ("cluster.local",)


def read_corefile(path: str) -> tuple[str, ...]:
    """Return the cluster domains that a file names; raises InputError or UsageError."""
    return corefile_zones(read_text(path), path=path)


def read_text(path: str) -> str:
    """Return the text of a small file; raises InputError."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise InputError(path, f"byte {problem.start} is no text", hint="check the path") from None
    except OSError as problem:
        raise InputError(
            path, f"cannot be read: {problem.strerror}", hint="check the path"
        ) from None


def cluster_domain(text: str) -> str:
    """Return a cluster domain as it is compared; raises UsageError where it is no domain name."""
    try:
        wire_from_text(text)
    except ValueError as problem:
        raise UsageError(f"--cluster-domain: {problem}") from None
    if not fold(text).strip("."):
        raise UsageError("--cluster-domain: the root is no cluster domain")
    return fold(text)
