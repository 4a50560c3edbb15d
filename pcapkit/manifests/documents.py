"""One file of YAML: its documents as nodes, and where in its text each node stands.

Nodes are those of a composer: they keep positions and what is quoted, and resolve nothing. A
position is an index into the text of the file, so that an edit changes these characters and no
others. libyaml (PyYAML) finds the same nodes twenty times faster than ruamel.yaml's composer: it
reads all files, and what is to be changed is held against that composer (``stands_alike``).
"""

from __future__ import annotations

import gc
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml import nodes as composer
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

try:
    from yaml import CBaseLoader
except ImportError:  # PyYAML without libyaml
    CBaseLoader = None  # type: ignore[assignment, misc]

_NO_TAG = "tag:yaml.org,2002:str"
#: Blocks nested in one line, or so far to the right, that they may be nested too deeply.
_DEEP_BLOCK = re.compile(r"(?m)^[ ?-]{512}")
_BRACKET = re.compile(r"[\[\]{}]")
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


@lru_cache(maxsize=8)  # documents of one file follow one another
def _line_starts(text: str) -> list[int]:
    return [0, *(found.end() for found in re.finditer("\n", text))]


@dataclass(frozen=True)
class Document:
    """One document of a file; ``shared`` are the ids of nodes that an alias repeats."""

    text: str
    root: Node
    shared: frozenset[int] = field(repr=False)

    @property
    def _starts(self) -> list[int]:
        return _line_starts(self.text)

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
    if not node.style and node.value in ("~", "null", "Null", "NULL"):
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


@contextmanager
def without_collector() -> Iterator[None]:
    """Look for no circles of objects: nodes hold none, and there are hundreds of thousands."""
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_on:
            gc.enable()


def is_readable(text: str) -> bool:
    """Is this YAML?"""
    with without_collector():
        try:
            return _read_fast(text) is not None or bool(_compose(text))
        except Unreadable:
            return False


def read_documents(text: str, *, exact: bool = False) -> Iterator[Document]:
    """Yield the documents of a text; ``exact`` ones are the composer's own.

    Raises Unreadable where it is no YAML, or has line ends that YAML 1.1 and 1.2 read differently.
    """
    if (odd := _ODD_LINE_END.search(text)) is not None:
        line = text.count("\n", 0, odd.start()) + 1
        raise Unreadable("a line end that is neither LF nor CR LF", line)
    roots = None if exact else _read_fast(text)
    for root in _compose(text) if roots is None else roots:
        yield Document(text, root, _shared(root))


def stands_alike(document: Document) -> bool:
    """Do all nodes of a document stand where the composer finds them?"""
    start = document.line_start(document.line(document.root.start_mark.index))
    try:
        roots = _compose(document.text[start : document.root.end_mark.index])
    except Unreadable:
        return False
    return len(roots) == 1 and list(_places(roots[0], start)) == list(_places(document.root, 0))


def _places(root: Node, offset: int) -> Iterator[tuple[object, ...]]:
    """Yield what nodes are, and where they stand; nothing stands nowhere."""
    waiting: list[Any] = [root]
    met: set[int] = set()
    while waiting:
        node = waiting.pop()
        ends = node.start_mark.index + offset, node.end_mark.index + offset
        if isinstance(node.value, list):
            flow_end = ends[1] if node.flow_style else None
            yield type(node), ends[0], flow_end, len(node.value)
            if id(node) not in met:
                met.add(id(node))
                for child in node.value:
                    waiting += child if isinstance(child, tuple) else (child,)
        elif is_empty(node):
            yield type(node), node.value
        else:
            yield type(node), *ends, node.style or None, node.value


def _read_fast(text: str) -> list[Node] | None:
    """Return the roots of a text as libyaml reads it; None where the composer must read it.

    That is where libyaml is missing or finds a fault, of which the composer tells more, or where
    nodes may be nested so deeply that its stack would not hold them.
    """
    if CBaseLoader is None or _DEEP_BLOCK.search(text) or _is_deep(text):
        return None
    try:
        return [r for r in yaml.compose_all(text, Loader=CBaseLoader) if r is not None]
    except (yaml.YAMLError, RecursionError, ValueError):
        return None


def _is_deep(text: str) -> bool:
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += 1 if found[0] in "[{" else -1
        if depth > MOST_DEPTH:
            return True
    return False


def _converted(node: Any, known: dict[int, Node]) -> Node:
    """Return a node of ruamel.yaml's as one of PyYAML's."""
    if (found := known.get(id(node))) is not None:
        return found
    marks = node.start_mark, node.end_mark
    out: Node
    if isinstance(node, composer.ScalarNode):
        out = ScalarNode(_NO_TAG, node.value, *marks, style=node.style)
    elif isinstance(node, composer.SequenceNode):
        out = SequenceNode(_NO_TAG, [], *marks, flow_style=node.flow_style)
    else:
        out = MappingNode(_NO_TAG, [], *marks, flow_style=node.flow_style)
    known[id(node)] = out
    if isinstance(node, composer.SequenceNode):
        out.value += [_converted(n, known) for n in node.value]
    elif isinstance(node, composer.MappingNode):
        out.value += [(_converted(k, known), _converted(v, known)) for k, v in node.value]
    return out


def _compose(text: str) -> list[Node]:
    """Return the roots of a text as ruamel.yaml's composer reads it; raises Unreadable."""
    reader = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML allows it
            roots = [root for root in reader.compose_all(text) if root is not None]
            known: dict[int, Node] = {}
            return [_converted(root, known) for root in roots]
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        what = str(problem.problem or problem.context or "no YAML").strip()
        raise Unreadable(f"no YAML ({what})", mark.line + 1 if mark else None) from None
    except YAMLError as problem:
        raise Unreadable(f"no YAML ({str(problem).splitlines()[0]})") from None
    except RecursionError:
        raise Unreadable("nested too deeply") from None


def _shared(root: Node) -> frozenset[int]:
    """Return the ids of nodes that are met more than once, and of all below them.

    Raises Unreadable where a mapping has a key twice, or the nodes are nested too deeply.
    """
    met: set[int] = set()
    twice: set[int] = set()
    waiting: list[tuple[Node, bool, int]] = [(root, False, 0)]
    while waiting:
        node, inside, depth = waiting.pop()
        number = id(node)
        again = inside or number in met
        if number in twice:
            continue
        met.add(number)
        if again:
            twice.add(number)
        value = node.value
        if not isinstance(value, list):
            continue
        if depth > MOST_DEPTH:
            raise Unreadable("nested too deeply", node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            keys = [k.value for k, _ in value if isinstance(k, ScalarNode)]
            if len(set(keys)) < len(keys):
                double = next(k for n, k in enumerate(keys) if k in keys[:n])
                raise Unreadable(f"the key {double!r} is there twice", node.start_mark.line + 1)
            for pair in value:
                waiting += [(one, again, depth + 1) for one in pair]
        else:
            waiting += [(one, again, depth + 1) for one in value]
    return frozenset(twice)
