"""What a pod's ``dnsPolicy`` and ``dnsConfig`` get: added or changed, and nothing else touched.

``options``, ``nameservers`` and ``searches`` are lists that patches replace as a whole (Kubernetes
API, ``x-kubernetes-list-type: atomic``), so that an edit goes into the list that is there. Values
of options are strings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

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

_POLICY, _CONFIG, _OPTIONS, _NDOTS = "dnsPolicy", "dnsConfig", "options", "ndots"
_SERVERS, _SEARCHES = "nameservers", "searches"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pod's spec is to have; what is None stays as it is.

    ``options`` are those beside ndots, for a place that has no list of them yet.
    """

    ndots: int | None = None
    policy: str | None = None
    nameservers: tuple[str, ...] | None = None
    searches: tuple[str, ...] | None = None
    options: tuple[tuple[str, str | None], ...] = ()

    @property
    def has_list(self) -> bool:
        """Does it change the search list?"""
        return self.searches is not None

    def said(self) -> str:
        """Return what the pods get for a search list, in words."""
        policy = f"dnsPolicy: {self.policy}, " if self.policy else ""
        return f"{policy}searches: {' '.join(self.searches or ())}"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a setting; ``start`` is where it stands, ``before`` what stood there.

    ``of_list`` says that it is of the search list, not of ndots.
    """

    edits: tuple[Edit, ...]
    start: int
    before: str
    after: str
    of_list: bool = False


def options_of(pod_spec: Node | None) -> list[tuple[str, str | None]]:
    """Return all options of a pod's ``dnsConfig``."""
    found = []
    for option in items(get(pod_spec, _CONFIG, _OPTIONS)):
        if (name := text_of(get(option, "name"))) is not None:
            found.append((name, text_of(get(option, "value"))))
    return found


def set_dns(document: Document, key: Node | None, spec: Node, wanted: Wanted) -> list[Change]:
    """Return the changes that give a pod's ``spec`` what is wanted; none where it has it.

    ``spec`` may be any mapping that takes a ``dnsConfig``, and ``key`` is the one above it, None
    for a whole document. Raises Unreadable where a place cannot be edited alone: an anchor shares
    it, a merge key fills it, or it is no mapping.
    """
    return list(_Editor(document, wanted).in_spec(key, spec))


@dataclass(frozen=True, slots=True)
class _Editor:
    document: Document
    wanted: Wanted

    def in_spec(self, key: Node | None, spec: Node) -> Iterator[Change]:
        """Edit a pod's spec."""
        missing = []
        if self.wanted.policy is not None:
            found = entry(spec, _POLICY)
            if found is None:
                missing.append(_POLICY)
            else:
                yield from self._set_policy(*found)
        found = entry(spec, _CONFIG)
        if found is None:
            missing.append(_CONFIG)
        else:
            yield from self.in_config(*found)
        if missing:
            yield from self.insert_keys(key, spec, missing)

    def in_config(self, key: Node, config: Node) -> Iterator[Change]:
        """Edit an existing ``dnsConfig``."""
        if self._is_nothing(config):
            yield from self._fill(key, config, self._lists(), _CONFIG)
            return
        self._check(config, MappingNode, _CONFIG)
        missing = []
        for name in self._lists():
            found = entry(config, name)
            if found is None:
                missing.append(name)
            elif self._is_nothing(found[1]):
                if name == _OPTIONS or self._texts(name):
                    yield from self._fill(*found, [name], name)
            else:
                self._check(found[1], SequenceNode, name)
                if name == _OPTIONS:
                    yield from self._set_option(*found)
                else:
                    yield from self._set_items(name, *found)
        missing = [name for name in missing if name == _OPTIONS or self._texts(name)]
        if missing:
            yield from self.insert_keys(key, config, missing)

    def _lists(self) -> list[str]:
        """Return which lists of ``dnsConfig`` are wanted."""
        w = self.wanted
        wanted = w.nameservers is not None, w.searches is not None, w.ndots is not None
        return [
            n for n, is_in in zip((_SERVERS, _SEARCHES, _OPTIONS), wanted, strict=True) if is_in
        ]

    def _texts(self, name: str) -> tuple[str, ...]:
        """Return the items of a list that is wanted, beside options."""
        return (self.wanted.nameservers if name == _SERVERS else self.wanted.searches) or ()

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

    def _set_policy(self, key: Node, value: Node) -> Iterator[Change]:
        self._check(value, ScalarNode, _POLICY)
        before = text_of(value)
        if before != self.wanted.policy:
            edit, start = self._scalar(key, value, str(self.wanted.policy))
            yield from self._changes([edit], start, f"dnsPolicy: {before}", [_POLICY])

    def _set_option(self, key: Node, options: Node) -> Iterator[Change]:
        for option in items(options):
            if text_of(get(option, "name")) == _NDOTS:
                yield from self._replace(option)
                return
        yield from self._append(key, options)

    def _replace(self, option: Node) -> Iterator[Change]:
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
            yield from self._changes([Edit(end, end, text)], end, "ndots", [_OPTIONS])
            return
        key, value = found
        if self.document.is_shared(value):
            raise Unreadable("the value of ndots is shared by an anchor", self._line(value))
        before = text_of(value)
        if before == str(self.wanted.ndots):
            return
        edit, start = self._scalar(key, value, str(self.wanted.ndots))
        said = "ndots" if is_empty(value) else f"ndots: {before}"
        yield from self._changes([edit], start, said, [_OPTIONS])

    def _scalar(self, key: Node, value: Node, text: str) -> tuple[Edit, int]:
        """Return the edit that gives a key another text, and where it stands."""
        if is_empty(value):
            colon = self.document.text.index(":", key.end_mark.index) + 1
            return Edit(colon, colon, f' "{text}"'), colon
        start, end = self.document.start(value), self.document.end(value)
        quote = "'" if self.document.text[start] == "'" else '"'
        return Edit(start, end, f"{quote}{text}{quote}"), start

    def _set_items(self, name: str, key: Node, node: Node) -> Iterator[Change]:
        """Give a list of texts other items; those that stay keep their lines and their order."""
        wanted, there = self._texts(name), items(node)
        for item in there:
            self._check(item, ScalarNode, f"an item of {name}")
        known = [text_of(item) or "" for item in there]
        if known == list(wanted):
            return
        kept = [text for text in known if text in wanted]
        if [text for text in wanted if text in known] != kept:
            raise Unreadable(f"{name} has its items in another order, or twice", self._line(node))
        edits = (
            self._flow_items(there, node, wanted)
            if is_flow(node)
            else [*self._block_items(key, there, node, wanted)]
        )
        start = self.document.start(node)
        yield from self._changes(edits, start, f"{name}: {' '.join(known)}", [name])

    def _flow_items(self, there: Sequence[Node], node: Node, wanted: Sequence[str]) -> list[Edit]:
        document = self.document
        if "#" in document.raw(node):
            raise Unreadable("a list in brackets has a comment", self._line(node))
        raw = {text_of(item): document.raw(item) for item in there}
        start, end = document.start(there[0]), document.end(there[-1])
        gap = self._gap(start)
        text = f",{gap}".join(raw.get(t) or json.dumps(t) for t in wanted)
        return [Edit(start, end, text)]

    def _block_items(
        self, key: Node, there: Sequence[Node], node: Node, wanted: Sequence[str]
    ) -> Iterator[Edit]:
        document = self.document
        dash = " " * int(node.start_mark.column)
        known = [text_of(item) for item in there]
        before: list[list[str]] = [[] for _ in range(len(there) + 1)]  # by item: new ones above it
        at = 0
        for text in wanted:
            if text in known:
                at = known.index(text) + 1
            else:
                following = [i for i in range(at, len(known)) if known[i] in wanted]
                before[following[0] if following else at].append(f"{dash}- {json.dumps(text)}")
        if not wanted:
            colon = document.text.index(":", key.end_mark.index) + 1
            yield Edit(colon, colon, " []")
        for text_there, item, new in zip(known, there, before, strict=False):
            line = document.line(document.start(item))
            begin = document.line_start(line)
            if new:
                yield Edit(begin, begin, "".join(f"{n}{document.newline}" for n in new))
            if text_there not in wanted:
                yield Edit(begin, self._below(item), "")
        if before[-1]:
            yield self._lines(document.line(document.end(there[-1])) + 1, before[-1])[0]

    def _below(self, node: Node) -> int:
        """Return where the line below a node begins."""
        return self.document.line_start(self.document.line(self.document.end(node) - 1) + 1)

    # ---- what is new ------------------------------------------------------------------------

    def insert_keys(self, key: Node | None, above: Node, names: Sequence[str]) -> Iterator[Change]:
        """Add keys to a mapping: behind dnsPolicy where there is one, else as the first.

        To a whole document they are added as the last.
        """
        document = self.document
        if key is None:
            self._check(above, MappingNode, "the file")
            if is_flow(above) or not above.value or merges(above):
                raise Unreadable("the file is no block of keys", self._line(above))
            line = document.line(max(document.end(above) - 1, 0)) + 1
            column = document.column(document.start(pairs(above)[0][0]))
            edit, start = self._lines(line, self._block(names, column, 2, above))
            yield from self._changes([edit], start, "", names)
            return
        if self._is_nothing(above):
            yield from self._fill(key, above, names, None)
            return
        self._check(above, MappingNode, str(key.value))
        if merges(above):
            raise Unreadable(f"{key.value} has a merge key (<<)", self._line(above))
        first = pairs(above)[0][0]
        at = document.start(first)
        if is_flow(above):
            text = f"{self._flow(names, above)},{self._gap(at)}"
            yield from self._changes([Edit(at, at, text)], at, "", names)
            return
        if document.line(at) == document.line(document.start(key)):
            raise Unreadable(f"{key.value} begins on the line of its key", self._line(above))
        indent = document.column(at)
        policy = entry(above, _POLICY)
        if policy is not None:
            line = document.line(document.end_of_value(*policy)) + 1
        elif above.start_mark.index < at:  # an anchor on a line of its own
            line = document.line(above.start_mark.index) + 1
        else:
            line = document.line(document.start(key)) + 1
        block = self._block(names, indent, indent - self._column(key), above)
        edit, start = self._lines(line, block)
        yield from self._changes([edit], start, "", names)

    def _fill(
        self, key: Node, node: Node, names: Sequence[str], itself: str | None
    ) -> Iterator[Change]:
        """Give a value to a key that has none, or an empty one: these keys below it.

        ``itself`` is the key where it is one of ours: a list alone is its value.
        """
        document = self.document
        is_list = itself is not None and itself != _CONFIG
        if isinstance(node, (MappingNode, SequenceNode)) or not is_empty(node):
            text = self._flow_value(names[0], node) if is_list else f"{{{self._flow(names, node)}}}"
            start, end = document.start(node), document.end(node)
            yield from self._changes([Edit(start, end, text)], start, "", names)
            return
        line = document.line(key.start_mark.index)
        column = self._column(key)
        if is_list:
            lines = self._block(names, column, 2, key)[1:]
        else:
            lines = self._block(names, column + 2, 2, key)
        edit, start = self._lines(line + 1, lines)
        yield from self._changes([edit], start, "", names)

    def _append(self, key: Node, options: Node) -> Iterator[Change]:
        """Add an item to the options."""
        document, last = self.document, items(options)[-1]
        end = document.end(last)
        if is_flow(options):
            text = f",{self._gap(document.start(last))}{self._item(_NDOTS, last)}"
            yield from self._changes([Edit(end, end, text)], end, "", [_OPTIONS])
            return
        dash = int(options.start_mark.column)
        if is_flow(last) or not isinstance(last, MappingNode):
            lines = [f"{' ' * dash}- {self._item(_NDOTS, last)}"]
        else:
            inner = document.column(document.start(pairs(last)[0][0]))
            lines = [
                f"{' ' * dash}-{' ' * (inner - dash - 1)}name: ndots",
                f"{' ' * inner}value: {self._quoted()}",
            ]
        edit, start = self._lines(document.line(max(end - 1, document.start(last))) + 1, lines)
        yield from self._changes([edit], start, "", [_OPTIONS])

    def _lines(self, line: int, lines: Sequence[str]) -> tuple[Edit, int]:
        """Return the edit that puts lines above a line, and where they stand."""
        document = self.document
        at, newline = document.line_start(line), document.newline
        text = newline.join(lines)
        if at == len(document.text) and not document.text.endswith("\n"):
            return Edit(at, at, newline + text), at
        return Edit(at, at, text + newline), min(at, len(document.text) - 1)

    def _block(self, names: Sequence[str], indent: int, step: int, near: Node) -> list[str]:
        """Return the lines of keys, indented as the file is."""
        step = max(step, 1)
        lines = []
        for name in names:
            if name == _POLICY:
                lines.append(f'{" " * indent}{_POLICY}: "{self.wanted.policy}"')
                continue
            if name == _CONFIG:
                lines.append(f"{' ' * indent}{_CONFIG}:")
                lines += self._block(self._lists(), indent + step, step, near)
                continue
            dash = " " * (indent + self._dash(near))
            lines.append(f"{' ' * indent}{name}:")
            if name != _OPTIONS:
                lines += [f"{dash}- {json.dumps(text)}" for text in self._texts(name)]
                if not self._texts(name):
                    lines[-1] += " []"
                continue
            for option, value in self._all_options():
                lines.append(f"{dash}- name: {option}")
                if value is not None:
                    lines.append(f"{dash}  value: {json.dumps(value)}")
        return lines

    def _all_options(self) -> list[tuple[str, str | None]]:
        """Return what a new list of options holds."""
        return [*self.wanted.options, (_NDOTS, str(self.wanted.ndots))]

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

    def _flow(self, names: Sequence[str], near: Node) -> str:
        """Return keys with their values, as they stand in brackets."""
        return ", ".join(f"{self._key(n, near)}: {self._flow_value(n, near)}" for n in names)

    def _flow_value(self, name: str, near: Node) -> str:
        if name == _POLICY:
            return f'"{self.wanted.policy}"'
        if name == _CONFIG:
            return f"{{{self._flow(self._lists(), near)}}}"
        if name != _OPTIONS:
            return f"[{', '.join(json.dumps(text) for text in self._texts(name))}]"
        return f"[{', '.join(self._item(option, near) for option, _ in self._all_options())}]"

    def _item(self, option: str, near: Node) -> str:
        value = dict(self._all_options())[option]
        keys = self._key("name", near), self._key("value", near)
        name = f'"{option}"' if keys[0].startswith('"') else option
        shown = "" if value is None else f", {keys[1]}: {json.dumps(value)}"
        return f"{{{keys[0]}: {name}{shown}}}"

    def _gap(self, at: int) -> str:
        """Return what stands between items in brackets, as before the one that begins there."""
        document = self.document
        own_line = not document.line_text(document.line(at))[: document.column(at)].strip()
        return document.newline + " " * document.column(at) if own_line else " "

    def _key(self, name: str, near: Node) -> str:
        """Return a key, quoted where the keys of the mapping near it are (JSON)."""
        first = pairs(near)[0][0] if pairs(near) else pairs(self.document.root)[0][0]
        quoted = self.document.text[self.document.start(first)] == '"'
        return f'"{name}"' if quoted else name

    def _quoted(self) -> str:
        return f'"{self.wanted.ndots}"'

    def _changes(
        self, edits: Sequence[Edit], start: int, before: str, names: Sequence[str]
    ) -> Iterator[Change]:
        """Yield a change of what these keys are of: ndots, the search list, or both."""
        if self.wanted.has_list and set(names) - {_OPTIONS}:
            yield Change(tuple(edits), start, before, self.wanted.said(), of_list=True)
        if self.wanted.ndots is not None and {_CONFIG, _OPTIONS} & set(names):
            before = before if before.startswith(_NDOTS) else ""
            yield Change(tuple(edits), start, before, f"ndots: {self.wanted.ndots}")

    def _line(self, node: Node) -> int:
        return self.document.place(node.start_mark.index)[0]

    def _column(self, key: Node) -> int:
        return self.document.column(self.document.start(key))
