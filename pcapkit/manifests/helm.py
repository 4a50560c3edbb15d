"""Helm charts: templates are no YAML, so that a chart is changed by its file of values.

A chart takes a dnsConfig where one of its templates names such a value
(``.Values.dnsConfig``, ``.Values.web.dnsConfig``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from yaml.nodes import Node

from pcapkit.manifests.dns_config import Change, set_ndots
from pcapkit.manifests.documents import Unreadable, entry, get, text_of
from pcapkit.manifests.objects import POD_TEMPLATE
from pcapkit.manifests.tree import SourceFile, Tree

_KIND = re.compile(r"^\s*kind:\s*[\"']?(\w+)", re.MULTILINE)
_NAME = re.compile(r"^\s*name:\s*[\"']?([a-z0-9][a-z0-9.-]*)[\"']?\s*$", re.MULTILINE)
_VALUE = re.compile(r"\.Values((?:\.\w+)*)\.dnsConfig\b")


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

    def set_ndots(self, templates: tuple[SourceFile, ...], ndots: int) -> Change | None:
        """Return the edit of the values that sets ndots; None where it is set.

        Raises Unreadable where the chart has no such value, or more than one.
        """
        paths = {found for t in templates for found in _VALUE.findall(t.text)}
        if not paths:
            raise Unreadable("the chart has no value for dnsConfig: its templates must take one")
        if len(paths) > 1:
            listed = ", ".join(sorted(f"{p.lstrip('.')}.dnsConfig".lstrip(".") for p in paths))
            raise Unreadable(f"the chart has several values for dnsConfig: {listed}")
        if self.values is None or len(self.values.documents) != 1:
            raise Unreadable("the chart has no values.yaml to write its dnsConfig to")
        document = self.values.documents[0]
        key: Node | None = None
        node = document.root
        for part in paths.pop().split(".")[1:]:
            found = entry(node, part)
            if found is None:
                raise Unreadable(f"values.yaml has no key {part!r} for its dnsConfig")
            key, node = found
        return set_ndots(document, key, node, ndots)


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
