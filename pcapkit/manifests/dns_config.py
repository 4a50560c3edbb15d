"""The option ndots of a pod's ``dnsConfig``: added or changed, and nothing else touched.

``options`` is a list that patches replace as a whole (Kubernetes API, ``x-kubernetes-list-type:
atomic``), so that an edit goes into the list that is there. Values of options are strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, SequenceNode

from pcapkit.manifests.documents import (
    Document,
    Edit,
    Unreadable,
    entry,
    get,
    is_empty,
    is_flow,
    items,
    merges,
    pairs,
    text_of,
)

_CONFIG, _OPTIONS, _NDOTS = "dnsConfig", "options", "ndots"


@dataclass(frozen=True, slots=True)
class Change:
    """One edit of a setting; ``start`` is where it stands, ``before`` what stood there."""

    edit: Edit
    start: int
    before: str
    after: str


def options_of(pod_spec: Node | None) -> list[tuple[str, str | None]]:
    """Return all options of a pod's ``dnsConfig``."""
    found = []
    for option in items(get(pod_spec, _CONFIG, _OPTIONS)):
        if (name := text_of(get(option, "name"))) is not None:
            found.append((name, text_of(get(option, "value"))))
    return found


def set_ndots(document: Document, key: Node | None, spec: Node, ndots: int) -> Change | None:
    """Return the edit that sets ndots below a pod's ``spec``; None where it is set already.

    ``spec`` may be any mapping that takes a ``dnsConfig``, and ``key`` is the one above it, None
    for a whole document. Raises Unreadable where the place cannot be edited alone: an anchor shares
    it, a merge key fills it, or it is no mapping.
    """
    editor = _Editor(document, str(ndots))
    found = entry(spec, _CONFIG)
    if found is None:
        return editor.insert_key(key, spec, _CONFIG)
    config_key, config = found
    return editor.in_config(config_key, config)


@dataclass(frozen=True, slots=True)
class _Editor:
    document: Document
    value: str

    def in_config(self, key: Node, config: Node) -> Change | None:
        """Edit an existing ``dnsConfig``."""
        if self._is_nothing(config):
            return self._fill(key, config, _CONFIG)
        self._check(config, MappingNode, _CONFIG)
        found = entry(config, _OPTIONS)
        if found is None:
            return self.insert_key(key, config, _OPTIONS)
        options_key, options = found
        if self._is_nothing(options):
            return self._fill(options_key, options, _OPTIONS)
        self._check(options, SequenceNode, _OPTIONS)
        for option in items(options):
            if text_of(get(option, "name")) == _NDOTS:
                return self._replace(option)
        return self._append(options_key, options)

    # ---- what is there ----------------------------------------------------------------------

    def _is_nothing(self, node: Node) -> bool:
        """Is this null, or a mapping or list without entries?"""
        empty = isinstance(node, (MappingNode, SequenceNode)) and not node.value
        return not self.document.is_shared(node) and (
            empty or (not isinstance(node, (MappingNode, SequenceNode)) and text_of(node) is None)
        )

    def _check(self, node: Node, kind: type[Node], what: str) -> None:
        line = self.document.place(node.start_mark.index)[0]
        if self.document.is_shared(node):
            raise Unreadable(f"{what} is shared by an anchor", line)
        if not isinstance(node, kind):
            raise Unreadable(f"{what} is not what Kubernetes takes there", line)

    def _replace(self, option: Node) -> Change | None:
        """Change the value of the option that is there."""
        self._check(option, MappingNode, "the option ndots")
        found = entry(option, "value")
        if found is None:
            name_key = entry(option, "name")
            assert name_key is not None
            if merges(option):
                raise Unreadable("the option ndots has a merge key (<<)", self._line(option))
            end = self.document.end(name_key[1])
            if is_flow(option):
                text = f", {self._key('value', option)}: {self._quoted()}"
            else:
                indent = " " * self.document.column(pairs(option)[0][0].start_mark.index)
                text = f"{self.document.newline}{indent}value: {self._quoted()}"
            return self._change(Edit(end, end, text), end, "ndots")
        key, value = found
        if self.document.is_shared(value):
            raise Unreadable("the value of ndots is shared by an anchor", self._line(value))
        before = text_of(value)
        if before == self.value:
            return None
        if is_empty(value):
            colon = self.document.text.index(":", key.end_mark.index) + 1
            return self._change(Edit(colon, colon, f" {self._quoted()}"), colon, "ndots")
        start, end = self.document.start(value), self.document.end(value)
        quote = "'" if self.document.text[start] == "'" else '"'
        edit = Edit(start, end, f"{quote}{self.value}{quote}")
        return self._change(edit, start, f"ndots: {before}")

    # ---- what is new ------------------------------------------------------------------------

    def insert_key(self, key: Node | None, above: Node, name: str) -> Change:
        """Add a key to a mapping: behind dnsPolicy where there is one, else as the first.

        To a whole document it is added as the last.
        """
        document = self.document
        if key is None:
            self._check(above, MappingNode, "the file")
            if is_flow(above) or not above.value or merges(above):
                raise Unreadable("the file is no block of keys", self._line(above))
            line = document.line(max(document.end(above) - 1, 0)) + 1
            column = document.column(document.start(pairs(above)[0][0]))
            return self._lines(line, self._block(name, column, 2, above))
        if self._is_nothing(above):
            return self._fill(key, above, None, name)
        self._check(above, MappingNode, str(key.value))
        if merges(above):
            raise Unreadable(f"{key.value} has a merge key (<<)", self._line(above))
        first = pairs(above)[0][0]
        at = document.start(first)
        if is_flow(above):
            own_line = not document.line_text(document.line(at))[: document.column(at)].strip()
            gap = document.newline + " " * document.column(at) if own_line else " "
            text = f"{self._key(name, above)}: {self._flow(name, above)},{gap}"
            return self._change(Edit(at, at, text), at, "")
        if document.line(at) == document.line(document.start(key)):
            raise Unreadable(f"{key.value} begins on the line of its key", self._line(above))
        indent = document.column(at)
        policy = entry(above, "dnsPolicy")
        if policy is not None:
            line = document.line(document.end_of_value(*policy)) + 1
        elif above.start_mark.index < at:  # an anchor on a line of its own
            line = document.line(above.start_mark.index) + 1
        else:
            line = document.line(document.start(key)) + 1
        return self._lines(line, self._block(name, indent, indent - self._column(key), above))

    def _fill(self, key: Node, node: Node, name: str | None, below: str | None = None) -> Change:
        """Give a value to a key that has none, or an empty one.

        ``name`` is the key itself, ``below`` a key to put below it.
        """
        document = self.document
        inner = below or name
        assert inner is not None
        if isinstance(node, (MappingNode, SequenceNode)) or not is_empty(node):
            text = self._flow(inner, node)
            if below:
                text = f"{{{self._key(below, node)}: {text}}}"
            start, end = document.start(node), document.end(node)
            return self._change(Edit(start, end, text), start, "")
        line = document.line(key.start_mark.index)
        column = self._column(key)
        if below:
            lines = self._block(below, column + 2, 2, key)
        else:
            lines = self._block(inner, column, 2, key)[1:]
        return self._lines(line + 1, lines)

    def _append(self, key: Node, options: Node) -> Change:
        """Add an item to the options."""
        document, last = self.document, items(options)[-1]
        end = document.end(last)
        if is_flow(options):
            at = document.start(last)
            own_line = not document.line_text(document.line(at))[: document.column(at)].strip()
            gap = document.newline + " " * document.column(at) if own_line else " "
            return self._change(Edit(end, end, f",{gap}{self._item(last)}"), end, "")
        dash = int(options.start_mark.column)
        if is_flow(last) or not isinstance(last, MappingNode):
            lines = [f"{' ' * dash}- {self._item(last)}"]
        else:
            inner = document.column(document.start(pairs(last)[0][0]))
            lines = [
                f"{' ' * dash}-{' ' * (inner - dash - 1)}name: ndots",
                f"{' ' * inner}value: {self._quoted()}",
            ]
        return self._lines(document.line(max(end - 1, document.start(last))) + 1, lines)

    def _lines(self, line: int, lines: Sequence[str]) -> Change:
        document = self.document
        at, newline = document.line_start(line), document.newline
        text = newline.join(lines)
        if at == len(document.text) and not document.text.endswith("\n"):
            return self._change(Edit(at, at, newline + text), at, "")
        start = min(at, len(document.text) - 1)
        return self._change(Edit(at, at, text + newline), start, "")

    def _block(self, name: str, indent: int, step: int, near: Node) -> list[str]:
        """Return the lines of ``dnsConfig`` or ``options``, indented as the file is."""
        step = max(step, 1)
        lines = []
        if name == _CONFIG:
            lines.append(f"{' ' * indent}{_CONFIG}:")
            indent += step
        lines.append(f"{' ' * indent}{_OPTIONS}:")
        dash = indent + self._dash(near)
        lines.append(f"{' ' * dash}- name: ndots")
        lines.append(f"{' ' * dash}  value: {self._quoted()}")
        return lines

    def _dash(self, near: Node) -> int:
        """Return how far lists are indented below their keys, in what stands near, or the file."""
        for node in (near, self.document.root):
            waiting = [node]
            while waiting:
                one = waiting.pop(0)
                for key, value in pairs(one):
                    if isinstance(value, SequenceNode) and not is_flow(value) and value.value:
                        if value.start_mark.line > key.start_mark.line:
                            return max(0, int(value.start_mark.column) - self._column(key))
                    waiting.append(value)
                waiting += items(one)
        return 2

    # ---- texts ------------------------------------------------------------------------------

    def _flow(self, name: str, near: Node) -> str:
        options = f"[{self._item(near)}]"
        return options if name == _OPTIONS else f"{{{self._key(_OPTIONS, near)}: {options}}}"

    def _item(self, near: Node) -> str:
        keys = self._key("name", near), self._key("value", near)
        name = '"ndots"' if keys[0].startswith('"') else "ndots"
        return f"{{{keys[0]}: {name}, {keys[1]}: {self._quoted()}}}"

    def _key(self, name: str, near: Node) -> str:
        """Return a key, quoted where the keys of the mapping near it are (JSON)."""
        first = pairs(near)[0][0] if pairs(near) else pairs(self.document.root)[0][0]
        quoted = self.document.text[self.document.start(first)] == '"'
        return f'"{name}"' if quoted else name

    def _quoted(self) -> str:
        return f'"{self.value}"'

    def _said(self) -> str:
        return f"ndots: {self.value}"

    def _change(self, edit: Edit, start: int, before: str) -> Change:
        return Change(edit, start, before, self._said())

    def _line(self, node: Node) -> int:
        return self.document.place(node.start_mark.index)[0]

    def _column(self, key: Node) -> int:
        return self.document.column(self.document.start(key))
