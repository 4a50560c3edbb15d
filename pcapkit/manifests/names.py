"""Where names stand in manifests, and which of these places can be rewritten.

Read are the values of environment variables, arguments and commands, annotations and the data of
ConfigMaps; a Secret never. A value that is the name itself is rewritten where the name has a dot or
the key says that it is a host; a name inside other text (a URL, ``host:port``, a file of settings)
is listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pcapkit.manifests.documents import Document, Edit, get, items, pairs, text_of
from pcapkit.manifests.objects import Object
from pcapkit.manifests.tree import SourceFile

#: Keys that end so hold the name of a host.
HOST_KEYS = ("HOST", "HOSTNAME", "SERVER", "ADDR", "ENDPOINT")
#: What kubectl keeps of an earlier state is no setting.
_NOT_SETTINGS = ("kubectl.kubernetes.io/last-applied-configuration",)
#: Annotations whose names are published in the DNS.
_PUBLISHED = ("external-dns.",)
#: Values of charts below such keys are secret, or names that the chart itself is known by.
_NOT_ASKED = ("secret", "ingress", "tls", "certificate")
_TOKEN = re.compile(r"[A-Za-z0-9_](?:[\w.-]*\w)?", re.ASCII)
_ESCAPE = re.compile(r"\\.")
#: YAML 1.1 takes such text for a number where it stands without quotes.
_NUMBER = re.compile(r"[-+0-9._eExXoO]*")


@dataclass(frozen=True)
class Text:
    """One value in which names may stand: what it is, its key, and where it stands.

    ``container`` is of an environment variable: the list that its container is in, and its name.
    """

    file: SourceFile = field(repr=False)
    document: Document = field(repr=False)
    node: ScalarNode = field(repr=False)
    kind: str
    key: str
    container: tuple[str, str] | None = None


@dataclass(frozen=True)
class Found:
    """A name at a place; ``edit`` is None where it is listed, and ``why`` says why."""

    text: Text
    start: int
    name: str
    before: str
    after: str
    edit: Edit | None
    why: str = ""


def texts_of_workload(workload: Object) -> Iterator[Text]:
    """Yield the values of a workload in which names of hosts may stand."""
    for listed, container in workload.containers():
        name = text_of(get(container, "name")) or ""
        for variable in items(get(container, "env")):
            value, its = get(variable, "value"), text_of(get(variable, "name"))
            yield from _text(workload, value, "env", its, (listed, name))
        for kind in ("command", "args"):
            for argument in items(get(container, kind)):
                yield from _text(workload, argument, kind, None)
    template = workload.pod_template
    for node in dict.fromkeys((workload.node, template)):
        for key, value in pairs(get(node, "metadata", "annotations")):
            if key.value not in _NOT_SETTINGS:
                yield from _text(workload, value, "annotation", key.value)


def texts_of_config_map(config_map: Object) -> Iterator[Text]:
    """Yield the values of a ConfigMap."""
    for key, value in pairs(get(config_map.node, "data")):
        yield from _text(config_map, value, "configmap", key.value)


def texts_of_values(file: SourceFile) -> Iterator[Text]:
    """Yield the values of a chart's file of values, but for ``_NOT_ASKED``."""
    for document in file.documents:
        waiting: list[tuple[str, Node]] = [("", document.root)]
        while waiting:
            above, node = waiting.pop(0)
            if isinstance(node, ScalarNode):
                yield Text(file, document, node, "values", above)
            elif isinstance(node, MappingNode):
                waiting += [
                    (str(k.value), v)
                    for k, v in node.value
                    if isinstance(k, ScalarNode)
                    and not any(part in str(k.value).lower() for part in _NOT_ASKED)
                ]
            elif isinstance(node, SequenceNode):
                waiting += [(above, item) for item in node.value]


def _text(
    source: Object,
    node: Node | None,
    kind: str,
    key: str | None,
    container: tuple[str, str] | None = None,
) -> Iterator[Text]:
    if isinstance(node, ScalarNode) and text_of(node) is not None:
        yield Text(source.file, source.document, node, kind, str(key or ""), container)


def is_host_key(key: str) -> bool:
    """Does a key say that its value is a host?"""
    return key.upper().endswith(HOST_KEYS)


def find_names(text: Text, names: Mapping[str, str]) -> Iterator[Found]:
    """Yield where names stand in a value; ``names`` maps them, case-folded, to what to write.

    In words around it, a name without a dot is taken for one only where a URL or a port says so.
    """
    document, node = text.document, text.node
    value = str(node.value)
    start, raw = document.start(node), document.raw(node)
    folded = value.lower()
    if folded in names:
        why = ""
        if document.is_shared(node):
            why = "an anchor shares this value"
        elif "." not in value and not is_host_key(text.key):
            why = "the key does not say that this is a host"
        elif node.style in ("|", ">"):
            why = "a block of text"
        elif text.kind == "annotation" and text.key.startswith(_PUBLISHED):
            why = "a name that is published, not asked for"
        after = names[folded]
        edit = None if why else Edit(start, start + len(raw), _written(raw, after))
        if edit is None or edit.text != raw:
            quoted = node.style in ("'", '"')
            yield Found(text, start + quoted, folded, value, after, edit, why)
        return
    searched = _ESCAPE.sub("  ", raw) if node.style == '"' else raw
    for token in _TOKEN.finditer(searched):
        name = token[0].lower()
        if name in names and _is_host(searched, token):
            yield Found(
                text, start + token.start(), name, token[0], names[name], None, "inside other text"
            )


def _is_host(text: str, token: re.Match[str]) -> bool:
    before, after = text[: token.start()], text[token.end() :]
    if after[:1] == ".":
        return False  # written in full already
    if "." in token[0]:
        return True
    return (
        before.endswith(("://", "@"))
        or re.match(r":\d", after) is not None
        or (before.endswith("=") and re.match(r"[\s\"',;]|\Z", after) is not None)
    )


def _written(raw: str, name: str) -> str:
    """Return a name as it stands for ``raw``: quoted as that is."""
    quote = raw[:1] if raw[:1] in ("'", '"') else ""
    if not quote and _NUMBER.fullmatch(name):
        quote = '"'
    return f"{quote}{name}{quote}"
