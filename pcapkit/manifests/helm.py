"""Helm charts: templates are no YAML, so that a chart is changed by its file of values.

A chart takes a dnsConfig where one of its templates names such a value
(``.Values.dnsConfig``, ``.Values.web.dnsConfig``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from yaml.nodes import Node

from pcapkit.manifests.documents import Document, Unreadable, entry, get, text_of
from pcapkit.manifests.objects import POD_TEMPLATE
from pcapkit.manifests.search_list import Declared
from pcapkit.manifests.tree import SourceFile, Tree

_KIND = re.compile(r"^\s*kind:\s*[\"']?(\w+)", re.MULTILINE)
_NAME = re.compile(r"^\s*name:\s*[\"']?([a-z0-9][a-z0-9.-]*)[\"']?\s*$", re.MULTILINE)
_VALUE = re.compile(r"\.Values((?:\.\w+)*)\.dnsConfig\b")
_POLICY = re.compile(r"^\s*dnsPolicy:\s*[\"']?(\w+)", re.MULTILINE)
_HOST = re.compile(r"^\s*hostNetwork:(.*)$", re.MULTILINE)
_HOST_VALUE = re.compile(r"\.Values((?:\.\w+)+)")


@dataclass(frozen=True)
class Chart:
    """One chart: its name, its templates, its values (None where it has no file of them)."""

    folder: str
    name: str
    templates: tuple[SourceFile, ...] = field(repr=False)
    values: SourceFile | None = field(repr=False)

    def templates_of(self, name: str, kind: str | None) -> tuple[SourceFile, ...]:
        """Return the templates that make a workload; none where the chart is not the one."""
        made = tuple(
            t
            for t in self.templates
            if set(_KIND.findall(t.text)) & ({kind} if kind else set(POD_TEMPLATE))
        )
        root = self.values.documents[0].root if self.values and self.values.documents else None
        full = text_of(get(root, "fullnameOverride"))
        base = text_of(get(root, "nameOverride")) or self.name
        if full is not None:
            named = name == full or name.startswith(f"{full}-")
        else:
            named = name == base or name.endswith(f"-{base}") or name.startswith(f"{base}-")
            named = named or f"-{base}-" in name
        return made if named else tuple(t for t in made if name in _NAME.findall(t.text))

    def place(self, templates: tuple[SourceFile, ...]) -> tuple[Document, Node | None, Node]:
        """Return where the values have a dnsConfig: the document, the key above, what it holds.

        Raises Unreadable where the chart has no such value, or more than one.
        """
        path = _path(templates)
        if self.values is None or len(self.values.documents) != 1:
            raise Unreadable("the chart has no values.yaml to write its dnsConfig to")
        document = self.values.documents[0]
        key: Node | None = None
        node = document.root
        for part in path.split(".")[1:]:
            found = entry(node, part)
            if found is None:
                raise Unreadable(f"values.yaml has no key {part!r} for its dnsConfig")
            key, node = found
        return document, key, node

    def declared(self, templates: tuple[SourceFile, ...]) -> Declared:
        """Return what templates and values say of the pods' DNS."""
        _, _, node = self.place(templates)
        out = Declared.of([node])
        taken = re.compile(rf"\.Values{re.escape(_path(templates))}\.dnsPolicy\b")
        if not any(taken.search(t.text) for t in templates):
            written = {p for t in templates for p in _POLICY.findall(t.text)}
            if len(written) > 1:
                raise Unreadable("the templates of the chart have several values of dnsPolicy")
            out = replace(out, policy=next(iter(written), None))
        on_host = any(self._is_on_host(t) for t in templates)
        return replace(out, on_host_network=on_host)

    def _is_on_host(self, template: SourceFile) -> bool:
        """May a template put its pods into the host's network?"""
        root = self.values.documents[0].root if self.values and self.values.documents else None
        for written in _HOST.findall(template.text):
            if (path := _HOST_VALUE.search(written)) is None:
                value = written.strip().strip("\"'")
            else:
                value = text_of(get(root, *path[1].split(".")[1:])) or "false"
            if value.lower() != "false":
                return True
        return False


def _path(templates: tuple[SourceFile, ...]) -> str:
    """Return the path of the value that templates take for dnsConfig; raises Unreadable."""
    paths = {found for t in templates for found in _VALUE.findall(t.text)}
    if not paths:
        raise Unreadable("the chart has no value for dnsConfig: its templates must take one")
    if len(paths) > 1:
        listed = ", ".join(sorted(f"{p.lstrip('.')}.dnsConfig".lstrip(".") for p in paths))
        raise Unreadable(f"the chart has several values for dnsConfig: {listed}")
    return str(paths.pop())


def charts(tree: Tree) -> Iterator[Chart]:
    """Yield the charts of a folder."""
    for file in tree.files.values():
        if file.name != "Chart.yaml" or not file.documents:
            continue
        prefix = "" if file.folder == "." else f"{file.folder}/"
        templates = tuple(
            f for f in tree.files.values() if f.path.startswith(f"{prefix}templates/")
        )
        name = text_of(get(file.documents[0].root, "name"))
        if name is not None:
            yield Chart(file.folder, name, templates, tree.files.get(f"{prefix}values.yaml"))
