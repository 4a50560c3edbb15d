"""Text to paste: one function for each shape that advice comes in.

Shapes: a strategic-merge patch of a workload (Kubernetes API, ``PodSpec.dnsConfig``), Kustomize
(``patches`` with a target), Helm values, a Kyverno policy (``mutate.patchStrategicMerge``), the
Corefile (plugins cache, autopath, template), the kubelet's configuration. Option values are
strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

#: (option of resolv.conf(5), its value or None)
DnsOption = tuple[str, str | None]
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
#: What stands for the names of a policy and of its namespace until both are known.
_POLICY, _NAMESPACE = "POLICY", "NAMESPACE"


@cache
def printer() -> YAML:
    """Return what prints documents: block style, no line ever broken."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 1 << 12
    return yaml


def _yaml(document: Mapping[str, object]) -> str:
    out = StringIO()
    printer().dump(document, out)
    return out.getvalue()


def _commented(document: Mapping[str, object], key: str, comment: str) -> CommentedMap:
    """Return a document with a comment above one of its keys."""
    from ruamel.yaml.comments import CommentedMap

    out = CommentedMap(document)
    out.yaml_set_comment_before_after_key(key, before=comment)
    return out


def _quoted(text: str) -> object:
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    return DoubleQuotedScalarString(text)


def _dns_config(options: Sequence[DnsOption]) -> dict[str, object]:
    """Return the field ``dnsConfig`` of a pod's spec."""
    return {
        "options": [
            {"name": name} if value is None else {"name": name, "value": _quoted(value)}
            for name, value in options
        ]
    }


def _pod_template(options: Sequence[DnsOption]) -> dict[str, object]:
    return {"template": {"spec": {"dnsConfig": _dns_config(options)}}}


def workload_patch(options: Sequence[DnsOption]) -> str:
    """Return the strategic-merge patch of a Deployment, StatefulSet or DaemonSet."""
    return _yaml({"spec": _pod_template(options)})


def cronjob_patch(options: Sequence[DnsOption]) -> str:
    """Return the same for a CronJob, whose pod template stands deeper."""
    return _yaml({"spec": {"jobTemplate": {"spec": _pod_template(options)}}})


def kustomize_patch(options: Sequence[DnsOption]) -> str:
    """Return the entries of a kustomization.yaml, one a kind of workload."""
    from ruamel.yaml.scalarstring import LiteralScalarString

    patches = []
    for kind in WORKLOADS:
        body = {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": "any"},
            "spec": _pod_template(options),
        }
        patches.append(
            {"target": {"kind": kind}, "patch": LiteralScalarString(_yaml(body).rstrip("\n"))}
        )
    return _yaml({"patches": patches})


def helm_values(options: Sequence[DnsOption]) -> str:
    """Return the values that charts commonly take for the pod's dnsConfig."""
    return _yaml(
        _commented(
            {"dnsConfig": _dns_config(options)},
            "dnsConfig",
            "where the chart has a dnsConfig value (see its values.yaml)",
        )
    )


def kyverno_policy(namespace: str, options: Sequence[DnsOption]) -> str | None:
    """Return a policy that sets the options on a namespace's new pods; None for an odd name."""
    if not _LABEL.fullmatch(namespace):
        return None
    name = "-".join(["dns", *(f"{o}{v or ''}" for o, v in options), namespace])[:63].rstrip("-")
    return _policy(tuple(options)).replace(_POLICY, name).replace(_NAMESPACE, namespace)


@lru_cache(maxsize=64)
def _policy(options: tuple[DnsOption, ...]) -> str:
    selected = {"kinds": ["Pod"], "namespaces": [_quoted(_NAMESPACE)], "operations": ["CREATE"]}
    rule = {
        "name": "dns-options",
        "match": {"any": [{"resources": selected}]},
        "mutate": {"patchStrategicMerge": {"spec": {"dnsConfig": _dns_config(options)}}},
    }
    return _yaml(
        {
            "apiVersion": "kyverno.io/v1",
            "kind": "ClusterPolicy",
            "metadata": {"name": _POLICY},
            "spec": {"rules": [rule]},
        }
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
    return _yaml(
        _commented(
            {
                "apiVersion": "kubelet.config.k8s.io/v1beta1",
                "kind": "KubeletConfiguration",
                "resolvConf": _quoted("/etc/kubernetes/resolv.conf"),
            },
            "resolvConf",
            "a copy of the node's file without the suffix; pods take their list from it",
        )
    )
