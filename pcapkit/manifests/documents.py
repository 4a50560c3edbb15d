"""One file of YAML: its documents as nodes, and where in its text each node stands.

Nodes are those of ruamel.yaml's composer: they keep positions and what is quoted, and resolve
nothing. A position is an index into the text of the file, so that an edit changes these characters
and no others.
"""

from __future__ import annotations

import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

#: An anchor or a tag in front of a node, with the white space behind it.
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+(?=\S)|(?:[&!]\S*\s*)+\Z")
_ODD_LINE_END = re.compile("\r(?!\n)|[\x85\u2028\u2029]")
#: Nodes nested deeper than this are no manifest.
MOST_DEPTH = 100


class Unreadable(Exception):
    """A text that is no YAML, or YAML that cannot be edited; ``line`` counts from 1."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        self.problem = problem
        self.line = line
        super().__init__(f"line {line}: {problem}" if line else problem)


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters ``start`` to ``end`` of a text, replaced by ``text``."""

    start: int
    end: int
    text: str


def applied(text: str, edits: list[Edit]) -> str:
    """Return a text with edits that do not overlap; those at one position in their order."""
    out, done = [], 0
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        if edit.start < done:
            raise ValueError("edits overlap")
        out += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*out, text[done:]])


@dataclass(frozen=True)
class Document:
    """One document of a file; ``shared`` are the ids of nodes that an alias repeats."""

    text: str
    root: Node
    shared: frozenset[int] = field(repr=False)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer("\n", self.text))]

    @property
    def newline(self) -> str:
        """How its lines end."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def line(self, index: int) -> int:
        """Return the line of a position; both count from 0."""
        return bisect_right(self._starts, index) - 1

    def line_start(self, line: int) -> int:
        """Return where a line begins; the end of the text where there is no such line."""
        return self._starts[line] if line < len(self._starts) else len(self.text)

    def column(self, index: int) -> int:
        """Return the column of a position, from 0."""
        return index - self._starts[self.line(index)]

    def place(self, index: int) -> tuple[int, int]:
        """Return line and column of a position, from 1."""
        return self.line(index) + 1, self.column(index) + 1

    def line_text(self, line: int) -> str:
        """Return a line without its end."""
        return self.text[self.line_start(line) : self.line_start(line + 1)].rstrip("\r\n")

    def start(self, node: Node) -> int:
        """Return where a node begins, behind its anchor and tag."""
        begin, end = node.start_mark.index, node.end_mark.index
        found = _PROPERTIES.match(self.text, begin, end)
        return found.end() if found else begin

    def end(self, node: Node) -> int:
        """Return where the last character of a node's content ends.

        The composer lets block collections and block scalars end where the next token begins.
        """
        if isinstance(node, (MappingNode, SequenceNode)) and not node.flow_style:
            if not node.value:
                return int(node.start_mark.index)
            last = node.value[-1]
            if isinstance(last, tuple):
                return max(self.end(last[0]) + 1, self.end_of_value(*last))
            return self.end(last)
        if isinstance(node, ScalarNode) and node.style in ("|", ">"):
            return self._end_of_block(node)
        if is_empty(node):
            return int(node.start_mark.index)
        return int(node.end_mark.index)

    def end_of_value(self, key: Node, value: Node) -> int:
        """Return where the value of a key ends; behind the colon where there is none."""
        if is_empty(value) or value.start_mark.index < key.start_mark.index:
            # nothing, or an alias: the node stands elsewhere
            line = self.line(int(key.end_mark.index))
            return self.line_start(line) + len(self.line_text(line))
        return self.end(value)

    def _end_of_block(self, node: ScalarNode) -> int:
        raw = self.text[node.start_mark.index : node.end_mark.index]
        header, _, body = raw.partition("\n")
        if "+" in header.split("#")[0]:
            return int(node.end_mark.index)
        return int(node.start_mark.index) + len(header) + 1 + len(body.rstrip()) - (not body)

    def raw(self, node: Node) -> str:
        """Return a node's text as it stands in the file."""
        return self.text[self.start(node) : self.end(node)]

    def is_shared(self, node: Node) -> bool:
        """Does an alias repeat this node?"""
        return id(node) in self.shared


def is_flow(node: Node) -> bool:
    """Is this a mapping or list in brackets?"""
    return isinstance(node, (MappingNode, SequenceNode)) and bool(node.flow_style)


def is_empty(node: Node) -> bool:
    """Is this the value of a key that has none?"""
    return isinstance(node, ScalarNode) and not node.style and node.value == ""


def get(node: Node | None, *keys: str) -> Node | None:
    """Return what stands under keys, None where nothing does.

    What a merge key (``<<``) brings in is not seen.
    """
    for key in keys:
        if (found := entry(node, key)) is None:
            return None
        node = found[1]
    return node


def entry(node: Node | None, key: str) -> tuple[Node, Node] | None:
    """Return a key and its value, None where there is none."""
    found = ((k, v) for k, v in pairs(node) if isinstance(k, ScalarNode) and k.value == key)
    return next(found, None)


def merges(node: Node) -> bool:
    """Does a merge key (``<<``) bring other keys into this mapping?"""
    return any(isinstance(k, ScalarNode) and k.value == "<<" for k, _ in pairs(node))


def text_of(node: Node | None) -> str | None:
    """Return the text of a scalar, None for another node or an empty one."""
    if not isinstance(node, ScalarNode) or is_empty(node):
        return None
    if node.style is None and node.value in ("~", "null", "Null", "NULL"):
        return None
    return str(node.value)


def items(node: Node | None) -> list[Node]:
    """Return the items of a list, none for another node."""
    return list(node.value) if isinstance(node, SequenceNode) else []


def pairs(node: Node | None) -> list[tuple[Node, Node]]:
    """Return keys and values of a mapping, none for another node."""
    return list(node.value) if isinstance(node, MappingNode) else []


def plain(node: Node | None) -> Any:
    """Return a node as Python's lists, dicts and texts."""
    if isinstance(node, SequenceNode):
        return [plain(n) for n in node.value]
    if isinstance(node, MappingNode):
        return {str(k.value): plain(v) for k, v in node.value if isinstance(k, ScalarNode)}
    return text_of(node)


def read_documents(text: str) -> Iterator[Document]:
    """Yield the documents of a text.

    Raises Unreadable where it is no YAML, or has line ends that YAML 1.1 and 1.2 read differently.
    """
    if (odd := _ODD_LINE_END.search(text)) is not None:
        line = text.count("\n", 0, odd.start()) + 1
        raise Unreadable("a line end that is neither LF nor CR LF", line)
    yaml = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML allows it
            roots = [root for root in yaml.compose_all(text) if root is not None]
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        what = str(problem.problem or problem.context or "no YAML").strip()
        raise Unreadable(f"no YAML ({what})", mark.line + 1 if mark else None) from None
    except YAMLError as problem:
        raise Unreadable(f"no YAML ({str(problem).splitlines()[0]})") from None
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    for root in roots:
        yield Document(text, root, _shared(root))


def _shared(root: Node) -> frozenset[int]:
    """Return the ids of nodes that are met more than once, and of all below them.

    Raises Unreadable where a mapping has a key twice, or the nodes are nested too deeply.
    """
    met: set[int] = set()
    twice: set[int] = set()
    waiting: list[tuple[Node, bool, int]] = [(root, False, 0)]
    while waiting:
        node, inside, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise Unreadable("nested too deeply", node.start_mark.line + 1)
        again = id(node) in met or inside
        if id(node) in twice:
            continue
        met.add(id(node))
        if again:
            twice.add(id(node))
        keys = [k.value for k, _ in pairs(node) if isinstance(k, ScalarNode)]
        if len(set(keys)) < len(keys):
            double = next(k for n, k in enumerate(keys) if k in keys[:n])
            raise Unreadable(f"the key {double!r} is there twice", node.start_mark.line + 1)
        children = node.value if isinstance(node.value, list) else []
        for child in children:
            for one in child if isinstance(child, tuple) else (child,):
                waiting.append((one, again, depth + 1))
    return frozenset(twice)
