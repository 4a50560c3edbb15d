"""Text to paste: one function for each shape that advice comes in.

Shapes: a strategic-merge patch of a workload (Kubernetes API, ``PodSpec.dnsConfig``), Kustomize
(``patches`` with a target), Helm values, a Kyverno policy (``mutate.patchStrategicMerge``), the
Corefile (plugins cache, autopath, template), the kubelet's configuration. Option values are
strings. Names come from the wire: whatever is not plain is written as a JSON string, which YAML
reads alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

#: (option of resolv.conf(5), its value or None)
DnsOption = tuple[str, str | None]
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


def _options(options: Sequence[DnsOption], indent: int) -> str:
    pad = " " * indent
    lines = []
    for name, value in options:
        lines.append(f"{pad}- name: {name}")
        if value is not None:
            lines.append(f"{pad}  value: {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def workload_patch(options: Sequence[DnsOption]) -> str:
    """Return the strategic-merge patch of a Deployment, StatefulSet or DaemonSet."""
    return "spec:\n  template:\n    spec:\n      dnsConfig:\n        options:\n" + _options(
        options, 10
    )


def cronjob_patch(options: Sequence[DnsOption]) -> str:
    """Return the same for a CronJob, whose pod template stands deeper."""
    return (
        "spec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          dnsConfig:\n"
        "            options:\n" + _options(options, 14)
    )


def kustomize_patch(options: Sequence[DnsOption]) -> str:
    """Return the entries of a kustomization.yaml, one a kind of workload."""
    out = "patches:\n"
    for kind in WORKLOADS:
        body = f"apiVersion: apps/v1\nkind: {kind}\nmetadata:\n  name: any\n" + workload_patch(
            options
        )
        out += f"  - target:\n      kind: {kind}\n    patch: |-\n"
        out += "".join(f"      {line}\n" for line in body.splitlines())
    return out


def helm_values(options: Sequence[DnsOption]) -> str:
    """Return the values that charts commonly take for the pod's dnsConfig."""
    return "# where the chart has a dnsConfig value (see its values.yaml)\n" + (
        "dnsConfig:\n  options:\n" + _options(options, 4)
    )


def kyverno_policy(namespace: str, options: Sequence[DnsOption]) -> str | None:
    """Return a policy that sets the options on a namespace's new pods; None for an odd name."""
    if not _LABEL.fullmatch(namespace):
        return None
    name = "-".join(["dns", *(f"{o}{v or ''}" for o, v in options), namespace])[:63].rstrip("-")
    return (
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata:\n"
        f"  name: {name}\n"
        "spec:\n  rules:\n    - name: dns-options\n      match:\n        any:\n"
        "          - resources:\n              kinds:\n                - Pod\n"
        f"              namespaces:\n                - {json.dumps(namespace)}\n"
        "              operations:\n                - CREATE\n"
        "      mutate:\n        patchStrategicMerge:\n          spec:\n            dnsConfig:\n"
        "              options:\n" + _options(options, 16)
    )


def option_patches(namespace: str | None, options: Sequence[DnsOption]) -> dict[str, str]:
    """Return every shape for options of resolv.conf, by name; ``workload`` is the main one."""
    out = dict(_everywhere(tuple(options)))
    if namespace is not None and (policy := kyverno_policy(namespace, options)) is not None:
        out["kyverno"] = policy
    return out


@lru_cache(maxsize=64)  # hundreds of pieces of advice are alike but for their namespace
def _everywhere(options: tuple[DnsOption, ...]) -> Mapping[str, str]:
    return {
        "workload": workload_patch(options),
        "cronjob": cronjob_patch(options),
        "kustomize": kustomize_patch(options),
        "helm": helm_values(options),
    }


def replacements(names: Mapping[str, str]) -> str:
    """Return a list of names and what to write instead, one a line."""
    return "".join(f"{name} -> {full}\n" for name, full in names.items())


def coredns_autopath(zone: str) -> str:
    """Return what autopath needs in the Corefile: it reads the pods' namespaces."""
    return (
        "# in the server block of the Corefile, instead of its kubernetes line\n"
        f"autopath @kubernetes\nkubernetes {zone} in-addr.arpa ip6.arpa {{\n"
        "    pods verified\n    fallthrough in-addr.arpa ip6.arpa\n}\n"
    )


def coredns_no_aaaa() -> str:
    """Return a Corefile template that answers AAAA with NOERROR and nothing.

    NXDOMAIN would make musl take the name for absent.
    """
    return (
        "# in the server block of the Corefile, above forward\n"
        "template IN AAAA . {\n    rcode NOERROR\n}\n"
    )


def coredns_cache() -> str:
    """Return cache settings like those of NodeLocal DNSCache, for the Corefile."""
    return "cache 30 {\n    success 9984 30\n    denial 9984 5\n}\n"


def kubelet_resolv_conf() -> str:
    """Return the kubelet setting that names another resolv.conf than the node's."""
    return (
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
        "# a copy of the node's file without the suffix; pods take their list from it\n"
        'resolvConf: "/etc/kubernetes/resolv.conf"\n'
    )
