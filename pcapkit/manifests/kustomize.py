"""Kustomize: which manifests an overlay deploys under which names, and its patches.

Fields of kustomization.yaml: resources, bases, components, namePrefix, nameSuffix, namespace,
patches (path or patch, target), patchesStrategicMerge. A patch sees a resource as it comes from
below: before prefix, suffix and namespace of its own kustomization.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from yaml.nodes import MappingNode, ScalarNode, SequenceNode

from pcapkit.manifests.dns_config import Wanted
from pcapkit.manifests.documents import (
    Document,
    Edit,
    Unreadable,
    entry,
    get,
    is_empty,
    items,
    text_of,
)
from pcapkit.manifests.objects import POD_TEMPLATE, Object, objects_of
from pcapkit.manifests.tree import SourceFile, Tree

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_MOST_DEPTH = 20
#: What YAML 1.1 takes for something else than text.
_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")


@dataclass(frozen=True)
class Kustomization:
    """One kustomization.yaml."""

    file: SourceFile = field(repr=False)
    document: Document = field(repr=False)

    @property
    def folder(self) -> str:
        """The folder it describes."""
        return self.file.folder

    def texts(self, key: str) -> list[str]:
        """Return the texts of a list."""
        found = (text_of(item) for item in items(get(self.document.root, key)))
        return [text for text in found if text is not None]

    def text(self, key: str) -> str | None:
        """Return a field."""
        return text_of(get(self.document.root, key))

    def path(self, name: str) -> str:
        """Return a path that it names, relative to the folder of all."""
        return posixpath.normpath(posixpath.join(self.folder, name))


@dataclass(frozen=True)
class Deployed:
    """A workload (or ConfigMap) as it is deployed.

    ``overlay`` is the kustomization that changes it by a patch, None where its own file is edited;
    ``seen_name`` and ``seen_namespace`` are what a patch there knows it by.
    """

    source: Object
    name: str
    namespace: str | None
    overlay: Kustomization | None = None
    seen_name: str = ""
    seen_namespace: str | None = None

    @property
    def where(self) -> str:
        """Where it is written, and deployed from."""
        by = f" by {self.overlay.file.path}" if self.overlay else ""
        return f"{self.source.where}{by}"


class Kustomizations:
    """All kustomizations of a folder."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._by_folder: dict[str, Kustomization] = {}
        for file in tree.files.values():
            if file.name in NAMES and len(file.documents) == 1:
                self._by_folder[file.folder] = Kustomization(file, file.documents[0])
        below: set[str] = set()
        self._patches: set[str] = set()
        for one in self._by_folder.values():
            below.update(k.folder for k in self._below(one))
            for patch in _patches(one):
                if patch.path is not None:
                    self._patches.add(one.path(patch.path))
        self._roots = [k for f, k in sorted(self._by_folder.items()) if f not in below]

    def deployed(self) -> Iterator[Deployed]:
        """Yield every workload and ConfigMap as often as it is deployed."""
        reached: set[str] = set()
        for root in self._roots:
            for one in self._entries(root, _MOST_DEPTH):
                reached.add(one.source.file.path)
                yield one
        for file in self._tree.files.values():
            if file.path in reached or file.path in self._patches or file.name in NAMES:
                continue
            for found in objects_of(file):
                yield Deployed(found, found.name, found.namespace)

    def _below(self, one: Kustomization) -> list[Kustomization]:
        named = [*one.texts("resources"), *one.texts("bases"), *one.texts("components")]
        found = (self._by_folder.get(one.path(name)) for name in named)
        return [k for k in found if k is not None and k is not one]

    def _entries(self, one: Kustomization, depth: int) -> Iterator[Deployed]:
        if not depth:
            return
        prefix, suffix = one.text("namePrefix") or "", one.text("nameSuffix") or ""
        namespace = one.text("namespace")
        for name in one.texts("resources"):
            file = self._tree.files.get(one.path(name))
            for found in objects_of(file) if file is not None else ():
                yield Deployed(found, f"{prefix}{found.name}{suffix}", namespace or found.namespace)
        for below in self._below(one):
            for entry_ in self._entries(below, depth - 1):
                yield replace(
                    entry_,
                    name=f"{prefix}{entry_.name}{suffix}",
                    namespace=namespace or entry_.namespace,
                    overlay=one,
                    seen_name=entry_.name,
                    seen_namespace=entry_.namespace,
                )

    def patches_of(self, one: Deployed) -> list[Object]:
        """Return what the files of an overlay's patches say of a workload, in their order."""
        assert one.overlay is not None
        out = []
        for patch in _patches(one.overlay):
            if patch.path is None:
                continue
            file = self._tree.files.get(one.overlay.path(patch.path))
            for found in objects_of(file) if file is not None else ():
                named = found.kind == one.source.kind and found.name in (
                    one.seen_name,
                    one.source.name,
                )
                if patch.selects(one) if patch.target is not None else named:
                    out.append(found)
        return out


def check_inline(one: Deployed, keys: Sequence[str]) -> None:
    """Raise Unreadable where a patch inside a kustomization sets such a key of a workload."""
    for patch in _patches(one.overlay) if one.overlay else ():
        for key in keys:
            if patch.path is None and key in patch.text and patch.selects(one):
                raise Unreadable(f"a patch in it sets {key} already", patch.line)


@dataclass(frozen=True)
class _Patch:
    path: str | None
    text: str
    line: int
    target: Mapping[str, str | None] | None

    def selects(self, one: Deployed) -> bool:
        """Does its target, or what it says itself, mean this workload?"""
        if self.target is None:
            return one.seen_name in self.text or one.source.name in self.text
        return all(
            _matches(self.target.get(key), value)
            for key, value in (("kind", one.source.kind), ("name", one.seen_name))
        )


def _matches(pattern: str | None, value: str) -> bool:
    if not pattern:
        return True
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return False


def _patches(one: Kustomization) -> list[_Patch]:
    root, out = one.document.root, []
    for item in items(get(root, "patches")):
        target = get(item, "target")
        chosen = None
        if isinstance(target, MappingNode):
            chosen = {key: text_of(get(target, key)) for key in ("kind", "name")}
        line = one.document.place(item.start_mark.index)[0]
        path, text = text_of(get(item, "path")), text_of(get(item, "patch"))
        if path is not None or text is not None:
            out.append(_Patch(path, text or "", line, chosen))
    for item in items(get(root, "patchesStrategicMerge")):
        if isinstance(item, ScalarNode):
            line, text = one.document.place(item.start_mark.index)[0], str(item.value)
            out.append(_Patch(None if "\n" in text else text, text, line, None))
    return out


# ---- a new patch ------------------------------------------------------------------------------


def patch_text(
    one: Deployed,
    wanted: Wanted,
    variables: Mapping[tuple[str, str], Mapping[str, str]],
    newline: str,
) -> str:
    """Return the file of a strategic-merge patch of a workload's pods.

    It sets what is wanted of their DNS, and environment variables by container.
    """
    source = one.source
    version = text_of(get(source.node, "apiVersion")) or "apps/v1"
    lines = [f"apiVersion: {_quoted(version)}", f"kind: {source.kind}", "metadata:"]
    lines.append(f"  name: {_quoted(one.seen_name)}")
    indent = ""
    for key in (*POD_TEMPLATE[source.kind], "spec"):
        lines.append(f"{indent}{key}:")
        indent += "  "
    if wanted.policy is not None:
        lines.append(f"{indent}dnsPolicy: {json.dumps(wanted.policy)}")
    if wanted != Wanted():
        lines.append(f"{indent}dnsConfig:")
    for key, texts in (("nameservers", wanted.nameservers), ("searches", wanted.searches)):
        if texts is not None:
            lines.append(f"{indent}  {key}:" + ("" if texts else " []"))
            lines += [f"{indent}    - {json.dumps(text)}" for text in texts]
    if wanted.ndots is not None:
        lines.append(f"{indent}  options:")
        for name, value in (*wanted.options, ("ndots", str(wanted.ndots))):
            lines.append(f"{indent}    - name: {_quoted(name)}")
            if value is not None:
                lines.append(f"{indent}      value: {json.dumps(value)}")
    for listed in sorted({listed for listed, _ in variables}):
        lines.append(f"{indent}{listed}:")
        for (where, container), values in sorted(variables.items()):
            if where == listed:
                lines += [f"{indent}  - name: {_quoted(container)}", f"{indent}    env:"]
                for name, value in values.items():
                    lines.append(f"{indent}      - name: {_quoted(name)}")
                    lines.append(f"{indent}        value: {json.dumps(value)}")
    return newline.join([*lines, ""])


def _quoted(text: str) -> str:
    return (
        text
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_/.-]*", text) and text.lower() not in _WORDS
        else json.dumps(text)
    )


def patch_entries(overlay: Kustomization, patches: Sequence[tuple[Deployed, str]]) -> Edit:
    """Return the edit of an overlay's kustomization.yaml that names new patches by their paths.

    Raises Unreadable where its list of patches cannot be added to.
    """
    document = overlay.document
    root = document.root
    named = [(path, _target(one)) for one, path in patches]
    if not isinstance(root, MappingNode) or root.flow_style or not root.value:
        raise Unreadable("no block of keys to add a patch to")
    found = entry(root, "patches")
    indent = document.column(document.start(root.value[0][0]))
    if found is None:
        lines = [f"{' ' * indent}patches:", *_entry_lines(indent + _dash(document), named)]
        return _after(document, document.end(root), lines)
    key, listed = found
    if document.is_shared(listed):
        raise Unreadable("patches is shared by an anchor", document.place(key.start_mark.index)[0])
    if is_empty(listed):
        lines = _entry_lines(indent + _dash(document), named)
        return _after(document, document.end_of_value(key, listed), lines)
    if not isinstance(listed, SequenceNode):
        raise Unreadable("patches is no list", document.place(key.start_mark.index)[0])
    if listed.flow_style:
        flow = ", ".join(
            f"{{path: {_quoted(path)}, target: {{"
            + ", ".join(f"{key}: {_quoted(value)}" for key, value in target.items())
            + "}}"
            for path, target in named
        )
        at = document.end(listed.value[-1]) if listed.value else document.end(listed) - 1
        return Edit(at, at, (", " if listed.value else "") + flow)
    lines = _entry_lines(int(listed.start_mark.column), named)
    return _after(document, document.end(listed), lines)


def _target(one: Deployed) -> dict[str, str]:
    """Return what selects a workload; its name is a regular expression."""
    target = {"kind": one.source.kind, "name": re.escape(one.seen_name).replace("\\-", "-")}
    if one.seen_namespace is not None:
        target["namespace"] = one.seen_namespace
    return target


def _entry_lines(dash: int, named: Sequence[tuple[str, Mapping[str, str]]]) -> list[str]:
    lines = []
    for path, target in named:
        lines += [f"- path: {_quoted(path)}", "  target:"]
        lines += [f"    {key}: {_quoted(value)}" for key, value in target.items()]
    return [" " * dash + line for line in lines]


def _dash(document: Document) -> int:
    """Return how far the lists of a file are indented below their keys."""
    for key, value in document.root.value:
        if isinstance(value, SequenceNode) and not value.flow_style and value.value:
            columns = (document.column(n.start_mark.index) for n in (value, key))
            return max(0, next(columns) - next(columns))
    return 2


def _after(document: Document, end: int, lines: Sequence[str]) -> Edit:
    """Return the edit that adds lines below the line on which something ends."""
    at = document.line_start(document.line(max(end - 1, 0)) + 1)
    newline = document.newline
    text = newline.join(lines)
    if at == len(document.text) and not document.text.endswith("\n"):
        return Edit(at, at, newline + text)
    return Edit(at, at, text + newline)
