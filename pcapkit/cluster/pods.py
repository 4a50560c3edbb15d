"""The pods and services of a cluster, as ``kubectl get pods,services -A -o json`` prints them.

Fields are those of the Kubernetes API reference (v1 Pod, Service, OwnerReference). A ReplicaSet is
named after its Deployment and the ``pod-template-hash`` of its pods, a Job after its CronJob and
the scheduled minute since 1970 (Unix seconds before Kubernetes 1.21).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from pcapkit.errors import InputError
from pcapkit.text import encodable

_HINT = "give what 'kubectl get pods,services -A -o json' prints"
_DNS_APPS = ("kube-dns", "coredns")  # values of the label k8s-app
_DNS_SERVICES = ("kube-dns", "coredns", "rke2-coredns-rke2-coredns", "dns-default")
_OF_CRON_JOB = re.compile(r"(?P<name>.+)-(?:\d{8}|\d{10})")


@dataclass(frozen=True, slots=True)
class Pod:
    """What is known of the pod behind an address.

    ``workload`` is the name of what runs the pod (a Deployment, a StatefulSet ...), ``kind`` what
    it is; ``started`` nanoseconds since 1970; ``dns_policy`` the one in force; ``node`` where it
    was scheduled.
    """

    name: str
    namespace: str | None
    workload: str | None
    kind: str | None = None
    started: int | None = None
    ended: bool = False
    dns_policy: str | None = None
    node: str | None = None

    def __post_init__(self) -> None:
        for key in ("name", "namespace", "workload", "kind", "dns_policy", "node"):
            if (text := getattr(self, key)) is not None:  # JSON can name what is no character
                object.__setattr__(self, key, encodable(text))

    @property
    def title(self) -> str:
        """The pod as kubectl's users name it: ``namespace/name``."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Cluster:
    """Pods and services by packed address.

    ``pods`` holds every pod that an address has had, ended ones too, the latest last; ``nodes`` the
    addresses that pods share with their node, with the pods that do; ``families`` maps an IPv6
    address to the IPv4 address of the same pod. ``dns`` are the addresses of the cluster's DNS.
    """

    pods: Mapping[bytes, tuple[Pod, ...]] = field(default_factory=dict)
    nodes: Mapping[bytes, tuple[Pod, ...]] = field(default_factory=dict)
    families: Mapping[bytes, bytes] = field(default_factory=dict)
    services: Mapping[bytes, str] = field(default_factory=dict)  # namespace/name
    dns: frozenset[bytes] = frozenset()
    path: str = ""

    def pod_at(self, address: bytes, last_time: int | None) -> Pod | None:
        """Return the pod that had an address then: the latest that had started by ``last_time``."""
        pods = self.pods.get(address, ())
        if last_time is not None:
            pods = tuple(p for p in pods if (p.started or 0) <= last_time) or pods[:1]
        return pods[-1] if pods else None


def parse_pods(text: str, *, path: str) -> Cluster:
    """Parse a List of pods, services or both, or one of them; other kinds are left out.

    Raises InputError that names the location where the text is something else.
    """
    try:
        top = json.loads(text)
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise InputError(path, f"{where}: no JSON ({problem.msg})", hint=_HINT) from None
    except RecursionError:
        raise InputError(path, "line 1: nested too deeply", hint=_HINT) from None
    except ValueError:
        raise InputError(path, "a number in it has thousands of digits", hint=_HINT) from None
    reader = _Reader(path)
    for location, item in reader.items(top):
        reader.add(location, item)
    return reader.cluster()


class _Reader:
    """Adds up the items of one file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pods: dict[bytes, list[Pod]] = defaultdict(list)
        self._on_nodes: dict[bytes, list[Pod]] = defaultdict(list)
        self._nodes: set[bytes] = set()
        self._families: dict[bytes, bytes] = {}
        self._services: dict[bytes, str] = {}
        self._dns: set[bytes] = set()

    def items(self, top: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        kind = str(top.get("kind")) if isinstance(top, dict) else type(top).__name__
        if kind in ("Pod", "Service"):
            yield kind, top
            return
        listed = top.get("items") if kind.endswith("List") else None
        if not isinstance(listed, list):
            raise self._wrong("line 1", f"neither a List nor a Pod or Service but {_short(kind)}")
        for number, item in enumerate(listed):
            if not isinstance(item, dict):
                raise self._wrong(f"items[{number}]", f"no object but {_short(item)}")
            # A List of one kind (PodList) may leave it out of its items.
            item.setdefault("kind", kind.removesuffix("List"))
            yield f"items[{number}]", item

    def add(self, location: str, item: dict[str, Any]) -> None:
        kind = self._text(location, item, "kind")
        if kind == "Pod":
            self._add_pod(location, item)
        elif kind == "Service":
            self._add_service(location, item)

    def _add_pod(self, location: str, item: dict[str, Any]) -> None:
        meta, spec, status = (
            self._object(location, item, k) for k in ("metadata", "spec", "status")
        )
        labels = self._get(f"{location}.metadata", meta, "labels", dict, "is") or {}
        on_node = self._get(
            f"{location}.spec", spec, "hostNetwork", bool, "neither true nor false but"
        )
        policy = self._text(f"{location}.spec", spec, "dnsPolicy")
        if on_node and policy == "ClusterFirst":
            policy = "Default"  # what the kubelet makes of it
        kind, workload = self._workload(f"{location}.metadata", meta, labels)
        pod = Pod(
            self._name(location, meta),
            self._text(f"{location}.metadata", meta, "namespace"),
            workload,
            kind,
            self._time(f"{location}.status", status, "startTime"),
            self._text(f"{location}.status", status, "phase") in ("Succeeded", "Failed"),
            policy,
            self._text(f"{location}.spec", spec, "nodeName") or None,
        )
        self._nodes.update(self._addresses(f"{location}.status", status, "hostIP", "hostIPs"))
        mine = self._addresses(f"{location}.status", status, "podIP", "podIPs")
        for address in mine:
            (self._on_nodes if on_node else self._pods)[address].append(pod)
            if self._app(location, labels) in _DNS_APPS and not on_node:
                self._dns.add(address)
        if len(mine) == 2 and not on_node and len(mine[0]) != len(mine[1]):
            v4, v6 = sorted(mine, key=len)
            self._families[v6] = v4

    def _add_service(self, location: str, item: dict[str, Any]) -> None:
        meta, spec = (self._object(location, item, k) for k in ("metadata", "spec"))
        labels = self._get(f"{location}.metadata", meta, "labels", dict, "is") or {}
        name = self._name(location, meta)
        namespace = self._text(f"{location}.metadata", meta, "namespace") or "default"
        if spec.get("clusterIP") in ("None", ""):
            return
        for address in self._addresses(f"{location}.spec", spec, "clusterIP", "clusterIPs"):
            self._services[address] = f"{namespace}/{name}"
            if self._app(location, labels) in _DNS_APPS or name in _DNS_SERVICES:
                self._dns.add(address)

    def cluster(self) -> Cluster:
        """Return what was added, in an order that no file decides."""

        def order(pod: Pod) -> tuple[bool, int, str]:
            return not pod.ended, pod.started or 0, pod.title

        def ordered(of: Mapping[bytes, Iterable[Pod]]) -> dict[bytes, tuple[Pod, ...]]:
            return {a: tuple(sorted(pods, key=order)) for a, pods in sorted(of.items())}

        nodes = {a: self._on_nodes.get(a, ()) for a in self._nodes | self._on_nodes.keys()}
        return Cluster(
            ordered(self._pods),
            ordered(nodes),
            dict(sorted(self._families.items())),
            dict(sorted(self._services.items())),
            frozenset(self._dns),
            self._path,
        )

    # ---- checked access ----------------------------------------------------------------------

    def _wrong(self, location: str, problem: str) -> InputError:
        return InputError(self._path, f"{location}: {problem}", hint=_HINT)

    def _get(self, location: str, of: dict[str, Any], key: str, kind: type, problem: str) -> Any:
        """Return a field of the type ``kind``; None where it is absent or null."""
        value = of.get(key)
        if value is not None and not isinstance(value, kind):
            raise self._wrong(f"{location}.{key}", f"{problem} {_short(value)}")
        return value

    def _object(self, location: str, of: dict[str, Any], key: str) -> dict[str, Any]:
        return self._get(location, of, key, dict, "no object but") or {}

    def _list(self, location: str, of: dict[str, Any], key: str) -> list[Any]:
        return self._get(location, of, key, list, "no list but") or []

    def _text(self, location: str, of: dict[str, Any], key: str) -> str | None:
        text: str | None = self._get(location, of, key, str, "no text but")
        return None if text is None else encodable(text)

    def _name(self, location: str, meta: dict[str, Any]) -> str:
        if name := self._text(f"{location}.metadata", meta, "name"):
            return name
        raise self._wrong(f"{location}.metadata.name", f"no name but {_short(meta.get('name'))}")

    def _app(self, location: str, labels: dict[str, Any]) -> str | None:
        return self._text(f"{location}.metadata.labels", labels, "k8s-app")

    def _workload(
        self, location: str, meta: dict[str, Any], labels: dict[str, Any]
    ) -> tuple[str | None, str | None]:
        """Return kind and name of what runs a pod, resolved as far as names tell."""
        template = self._text(f"{location}.labels", labels, "pod-template-hash")
        found: list[tuple[bool, str | None, str | None]] = []
        for number, owner in enumerate(self._list(location, meta, "ownerReferences")):
            at = f"{location}.ownerReferences[{number}]"
            if not isinstance(owner, dict):
                raise self._wrong(at, f"no object but {_short(owner)}")
            rules = self._get(at, owner, "controller", bool, "neither true nor false but")
            texts = self._text(at, owner, "kind"), self._text(at, owner, "name")
            found.append((not rules, *texts))
        if not found:
            return None, None
        _, kind, name = min(found, key=lambda owner: owner[0])
        if kind is None or name is None:
            return None, None
        if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
            return "Deployment", name.removesuffix(f"-{template}")
        if kind == "Job" and (match := _OF_CRON_JOB.fullmatch(name)):
            return "CronJob", match["name"]
        return kind, name

    def _addresses(self, location: str, of: dict[str, Any], one: str, many: str) -> list[bytes]:
        """Return the distinct addresses that a field and its list hold, in the list's order."""
        found: dict[bytes, None] = {}
        listed = [(f"{many}[{n}]", v) for n, v in enumerate(self._list(location, of, many))]
        for where, entry in (*listed, (one, of.get(one))):
            text = entry.get("ip") if isinstance(entry, dict) and where != one else entry
            if text is None or text == "":
                continue
            if not isinstance(text, str):
                raise self._wrong(f"{location}.{where}", f"no address but {_short(text)}")
            try:
                found[ip_address(text).packed] = None
            except ValueError as problem:
                raise self._wrong(f"{location}.{where}", str(problem)) from None
        return list(found)

    def _time(self, location: str, of: dict[str, Any], key: str) -> int | None:
        text = self._text(location, of, key)
        if text is None:
            return None
        try:
            if not isinstance(text, str):
                raise TypeError
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return int(moment.timestamp()) * 1_000_000_000
        except ValueError:
            raise self._wrong(f"{location}.{key}", f"no time: {_short(text)}") from None


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
