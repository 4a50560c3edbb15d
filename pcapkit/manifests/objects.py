"""The Kubernetes objects of a folder: workloads with their pods' specs, ConfigMaps.

Where a pod's spec stands in each kind: Kubernetes API reference, ``PodTemplateSpec``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from yaml.nodes import MappingNode, Node

from pcapkit.manifests.documents import Document, entry, get, items, text_of
from pcapkit.manifests.tree import SourceFile

_TEMPLATE = ("spec", "template")
#: kind -> where its pod template stands; a Pod is one itself
POD_TEMPLATE: Mapping[str, tuple[str, ...]] = {
    "Deployment": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "Job": _TEMPLATE,
    "CronJob": ("spec", "jobTemplate", *_TEMPLATE),
    "Pod": (),
}
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True)
class Object:
    """One object of a manifest; ``namespace`` is None where the manifest names none."""

    file: SourceFile = field(repr=False)
    document: Document = field(repr=False)
    node: Node = field(repr=False)
    kind: str
    name: str
    namespace: str | None

    @property
    def line(self) -> int:
        """The line on which it begins, from 1."""
        return self.document.place(self.document.start(self.node))[0]

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.file.path}:{self.line}"

    @property
    def pod_template(self) -> Node | None:
        """The node that holds ``metadata`` and ``spec`` of the pods."""
        return get(self.node, *POD_TEMPLATE[self.kind])

    @property
    def pod_spec(self) -> tuple[Node, Node] | None:
        """The key ``spec`` of the pods, and its value."""
        return entry(self.pod_template, "spec")

    def containers(self) -> Iterator[tuple[str, Node]]:
        """Yield the containers of the pods, those that initialise them first, with their list."""
        spec = self.pod_spec
        for key in _CONTAINERS:
            for container in items(get(spec[1] if spec else None, key)):
                yield key, container

    def config_maps(self) -> frozenset[str]:
        """Return the names of the ConfigMaps that its pods read."""
        found: list[str | None] = []
        for _, container in self.containers():
            for source in items(get(container, "envFrom")):
                found.append(text_of(get(source, "configMapRef", "name")))
            for variable in items(get(container, "env")):
                found.append(text_of(get(variable, "valueFrom", "configMapKeyRef", "name")))
        spec = self.pod_spec
        for volume in items(get(spec[1] if spec else None, "volumes")):
            found.append(text_of(get(volume, "configMap", "name")))
            for source in items(get(volume, "projected", "sources")):
                found.append(text_of(get(source, "configMap", "name")))
        return frozenset(name for name in found if name)


def objects_of(file: SourceFile) -> Iterator[Object]:
    """Yield the named objects of a file, those inside Lists too."""
    for document in file.documents:
        yield from _objects(file, document, document.root)


def _objects(file: SourceFile, document: Document, node: Node) -> Iterator[Object]:
    if not isinstance(node, MappingNode):
        return
    kind = text_of(get(node, "kind"))
    if kind is None or get(node, "apiVersion") is None:
        return
    if kind.endswith("List"):
        for item in items(get(node, "items")):
            yield from _objects(file, document, item)
        return
    name = text_of(get(node, "metadata", "name")) or text_of(get(node, "metadata", "generateName"))
    if name is not None:
        yield Object(file, document, node, kind, name, text_of(get(node, "metadata", "namespace")))
