r"""What stands around a printed line: shippers' JSON, prefixes, frames, fences, quotes, escapes.

A line that a program printed reaches a report through a log shipper, a terminal, a mail or a
Markdown page, and each adds something of its own. All of it is taken off here, once, so that the
readers see what the program printed:

- JSON records with the line in one of TEXT_KEYS and, perhaps, a time in one of TIME_KEYS (Docker,
  Fluent Bit, Vector, Loki, Cloud Logging, CloudWatch, Elasticsearch), also nested, also in arrays,
  also as lists of fields (CloudWatch Logs Insights);
- colours of terminals, the frames of k9s and of tables, Markdown's fences, quotes and escapes, the
  quotes of mail, HTML's entities, headings and prompts between several dumps;
- encodings: UTF-16 (PowerShell's ``>``), a byte-order mark, Latin-1.
"""

from __future__ import annotations

import codecs
import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

#: Where shippers put the line, and where they put its time; the first that is there counts.
TEXT_KEYS = (
    "log",
    "message",
    "msg",
    "line",
    "textPayload",
    "body",
    "@message",
    "MESSAGE",
    "event",
    "text",
    "content",
    "stringValue",
)
TIME_KEYS = (
    "time",
    "timestamp",
    "@timestamp",
    "ts",
    "timeUnixNano",
    "__REALTIME_TIMESTAMP",
    "receiveTimestamp",
    "ingestionTime",
    "date",
)
#: Where they put the name of the pod, and the objects in which such keys are looked for.
POD_KEYS = (
    "pod_name",
    "podName",
    "pod",
    "POD_NAME",
    "k8s_pod_name",
    "container_name",
    "kubernetes.pod_name",
    "@logStream",
)
STREAM_KEYS = ("kubernetes", "labels", "stream", "resource")
#: What tells an event of a program whose readers take JSON: keys, and keys of objects.
FLOW_KEYS = ("qr", "qr_raw", "DnsId", "DnsFlags", "DnsName")
FLOW_OBJECT_KEYS = ("flow", "l7", "node_status", "lost_events", "agent_event", "debug_event")
_DEPTH = 6
_RECORDS = 1 << 16  # lines within one JSON document
_FIELDS = 256  # of one result of a query
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_QUOTE = re.compile(r"(?:\s{0,3}>)+ ?")
_BARS = ("|", "\u2502", "\u2503", "\u2551")  # of frames
#: Blanks belong to the rule, other white space stands around it: no text can be taken both ways.
_RULE = re.compile(r"(?:\s*[^\S ])?[-=+_*\u2500-\u257f~\u2026. ]{3,}(?:[^\S ]\s*)?")
_FENCE = re.compile(r"\s*(?:```|~~~)[\w+-]*\s*")
_ESCAPE = re.compile(r"\\([*_\[\]<>#`~|+\-!{}])")
_PROMPT = re.compile(
    r"\s*(?:[\w.@:~/\-\[\]() ]{0,60}[$#%\u276f>] ?|(?:C|PS [A-Z]):\\\S*> ?)?"
    r"(?:sudo |time |watch )*(?:kubectl|k9s|k|tcpdump|tshark|hubble|ig|dig|nslookup|host|ping|curl"
    r"|docker|crictl|nerdctl|oc|stern|cat|tail|head|grep|journalctl|logcli|aws|gcloud|exit|wget)"
    r"(?: [^>]*)?"
)
_PROMPTED = re.compile(r"\s*\S{0,60}[$#\u276f] ?\S|\s*PS [A-Z]:\\")
#: ``tail`` of several files, ``kubectl logs`` in loops, and headings that people write.
_HEADING = re.compile(r"\s*(?:==> (?P<name>\S+) <==|#{1,6} .*|-{3,} ?[^-].*|={3,} ?[^=].*)")
_STREAM = re.compile(r"\[(pod/\S+|[a-z0-9][\w.-]*(?:/[\w.-]+)*)\] ")
_FIELD = re.compile(r'\s*"(?P<key>[^"]{1,40})"\s*:\s*(?P<value>"(?:[^"\\]|\\.)*"|[\d.]+)\s*,?\s*')


@dataclass(slots=True)
class Line:
    """One printed line, what was around it taken off.

    ``time`` is that of the shipper, None where it told none; ``stream`` says which of several
    sources printed it, "" where nothing does; ``record`` is the JSON object that a line is;
    ``number`` is that of the line in its source, behind ``passed`` lines of other programs.
    """

    text: str
    time: object = None
    stream: str = ""
    record: dict[str, Any] | None = None
    number: int = 0
    passed: int = 0


def decoded(raw: bytes) -> str:
    """Return a line's text: UTF-8, else Latin-1, whose every byte is a character."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def utf16_of(head: bytes) -> str | None:
    """Return the name of the 16-bit encoding of a text that begins so, None where it has none."""
    if head.startswith(codecs.BOM_UTF16_LE) and not head.startswith(codecs.BOM_UTF32_LE):
        return "utf-16-le"
    if head.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    sample = head[:512]
    if len(sample) >= 16:
        even, odd = sample[0::2], sample[1::2]
        if odd.count(0) > 0.9 * len(odd) and even.count(0) == 0:
            return "utf-16-le"
        if even.count(0) > 0.9 * len(even) and odd.count(0) == 0:
            return "utf-16-be"
    return None


def without_mark(head: bytes) -> bytes:
    """Return the first bytes of a text without a byte-order mark, as UTF-8."""
    if head.startswith(codecs.BOM_UTF8):
        return head[len(codecs.BOM_UTF8) :]
    if (encoding := utf16_of(head)) is not None:
        return head.decode(encoding, "replace").lstrip("\ufeff").encode("utf-8", "replace")
    return head


def lines_of(raw: bytes) -> list[Line]:
    """Return the printed lines within a line of text; none where it is all decoration."""
    text = decoded(raw).rstrip("\r\n")
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if "\xa0" in text:
        text = text.replace("\xa0", " ")
    if "&gt;" in text or "&quot;" in text or "&#" in text:
        text = html.unescape(text)
    if text and text[0] in "> \t|\u2502\u2503\u2551`~-=+#*[":
        stripped = _unframed(text)
        if stripped is None:
            return []
        text = stripped
    stream = ""
    if text.startswith("[") and (match := _STREAM.match(text)):
        stream = match[1]
        rest = text[match.end() :]
        if rest.startswith("{"):
            text = rest
    start = text.find("{") if "{" in text and "}" in text else -1
    if start > 0 and not text[:start].strip(" \t["):
        start = 0
    if start >= 0 and (start == 0 or _before_json(text[:start])):
        found = list(_in_record(text[start:], _DEPTH))
        if start and not any(line.text or _is_flow(line.record or {}) for line in found):
            found = []  # what a program printed is JSON in part
        if found:
            prefix = text[:start].strip()
            for line in found:
                line.stream = line.stream or stream
                if line.time is None and prefix:
                    line.time = prefix
            return found
    if text.startswith('"') and (field := _FIELD.fullmatch(text)):
        return _of_field(field)
    if "\\" in text and _ESCAPE.search(text):
        text = _ESCAPE.sub(r"\1", text)
    if text.startswith("`") and text.endswith("`"):
        text = text.strip("`")
    return [Line(text, stream=stream)]


def heading_of(raw: bytes) -> str | None:
    """Return the source that ``tail`` of several files names in this line; None: no heading."""
    match = _HEADING.fullmatch(decoded(raw))
    return match["name"] if match and match["name"] else None


def is_decoration(text: str) -> bool:
    """Is this a prompt, a heading, a rule: nothing that a program printed as its result?"""
    return bool(
        not text.strip(" \t{}[],")
        or _FENCE.fullmatch(text)
        or _RULE.fullmatch(text)
        or (_PROMPTED.match(text) or text[:1].isalpha() or text[:1].isspace())
        and _PROMPT.fullmatch(text)
        or _HEADING.fullmatch(text)
    )


def _unframed(text: str) -> str | None:
    """Take frames and quotes off; None where nothing is left."""
    if _FENCE.fullmatch(text) or _RULE.fullmatch(text):
        return None
    if text.lstrip()[:1] == ">":
        text = _QUOTE.sub("", text, count=1)
        if not text or _FENCE.fullmatch(text):
            return None
    if (framed := text.lstrip()).startswith(_BARS):
        text = framed[1:].removeprefix(" ").rstrip()
        if text.endswith(_BARS):
            text = text[:-1].rstrip()
        if not text or _RULE.fullmatch(text):
            return None
    return text


def _before_json(prefix: str) -> bool:
    """May a JSON record begin behind this, as behind a time, a stream and a container's name?"""
    return len(prefix) < 200 and prefix[-1].isspace() and '"' not in prefix


def _in_record(text: str, depth: int) -> Iterator[Line]:
    """Yield the lines within a text that is JSON."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return
    yield from _in_value(record, depth)


def _in_value(value: object, depth: int) -> Iterator[Line]:
    if depth == 0:
        return
    if isinstance(value, list):
        if (row := _row_of(value)) is not None:
            yield from _in_object(row, depth)
            return
        for item in value[:_RECORDS]:
            if (
                isinstance(item, list)
                and len(item) == 2
                and all(isinstance(part, str) for part in item)
            ):  # Loki's [time, line]
                yield Line(item[1], item[0])
            else:
                yield from _in_value(item, depth - 1)
    elif isinstance(value, dict):
        yield from _in_object(value, depth)


def _row_of(fields: list[Any]) -> dict[str, Any] | None:
    """Return a result of CloudWatch Logs Insights, which lists its fields, as one object."""
    row = {}
    for item in fields[:_FIELDS]:
        if not isinstance(item, dict) or not isinstance(item.get("field"), str):
            return None
        row[item["field"]] = item.get("value")
    return row or None


def _in_object(record: dict[str, Any], depth: int) -> Iterator[Line]:
    text = next((record[k] for k in TEXT_KEYS if isinstance(record.get(k), (str, dict))), None)
    time = next(
        (record[k] for k in TIME_KEYS if isinstance(record.get(k), (str, int, float))), None
    )
    if isinstance(text, str) and not _is_flow(record):
        stream = _stream_of(record)
        for line in text.splitlines() or [""]:
            if line.startswith("{"):
                inner = list(_in_record(line, depth - 1))
                for deep in inner:
                    deep.time = time if deep.time is None else deep.time
                    deep.stream = deep.stream or stream
                if inner:
                    yield from inner
                    continue
            yield Line(_ANSI.sub("", line), time, stream)
        return
    if _is_flow(record):
        yield Line("", time, _stream_of(record), record)
        return
    several = [v for v in record.values() if isinstance(v, (dict, list)) and v]
    within = [found for v in several for found in _in_value(v, depth - 1)]
    if any(found.text or _is_flow(found.record or {}) for found in within):
        for found in within:
            found.time = time if found.time is None else found.time
            found.stream = found.stream or _stream_of(record)
        yield from within
    else:
        yield Line("", time, "", record)


def _is_flow(record: dict[str, Any]) -> bool:
    """Is this an event of a program whose readers take JSON, not a shipper's record?"""
    return any(k in record for k in FLOW_KEYS) or any(
        isinstance(record.get(k), dict) for k in FLOW_OBJECT_KEYS
    )


def _stream_of(record: dict[str, Any]) -> str:
    *within, last = STREAM_KEYS
    for place in (record, *(record.get(k) for k in within)):
        if isinstance(place, dict):
            for key in POD_KEYS:
                if isinstance(value := place.get(key), str):
                    return value
                if isinstance(value, dict) and isinstance(value.get("name"), str):
                    return str(value["name"])
    deeper = record.get(last)
    return _stream_of(deeper) if isinstance(deeper, dict) else ""


def _of_field(match: re.Match[str]) -> list[Line]:
    """Return the line in one field of a JSON record that is spread over lines."""
    if match["key"] not in TEXT_KEYS or not match["value"].startswith('"'):
        return []
    try:
        return [Line(json.loads(match["value"]).rstrip("\n"))]
    except ValueError:
        return []


def json_documents(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines, each JSON object that is spread over several joined to one."""
    documents = JsonDocuments()
    for raw in lines:
        yield from documents.push(raw)
    yield from documents.end()


class JsonDocuments:
    """Joins each JSON object that is spread over several lines to one line.

    ``gcloud logging read --format json``, ``aws logs filter-log-events`` and ``jq`` print so. The
    brackets of the list around the objects are left out. ``aws logs get-query-results`` prints
    lists of fields: each is joined to one line as well.
    """

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._end: tuple[bytes, ...] = ()
        self._is_row = False  # what is held may be a list of fields

    @property
    def is_open(self) -> bool:
        """May the next line be part of an object that has begun?"""
        return bool(self._held)

    def push(self, raw: bytes) -> Sequence[bytes]:
        """Return the lines that are whole with this one."""
        held = self._held
        if held:
            if self._is_row and len(held) < len(_ROW):
                if not raw.lstrip().startswith(_ROW[len(held)]):
                    return self._push_apart([*held[1:], raw])
            held.append(raw)
            if raw.startswith(self._end):
                self._held = []
                return [b" ".join(part.strip() for part in held).removesuffix(b",")]
            if _LISTS.fullmatch(raw):
                self._held = []  # the objects of this list are the records
            elif raw.lstrip()[:1] not in _IN_JSON or len(held) > _DOCUMENT_LINES:
                return self.end()
            return ()
        if raw.endswith((b"{", b"[")) and raw.strip() in (b"{", b"["):
            indent = raw[: len(raw) - len(raw.lstrip())]
            self._is_row = raw.strip() == b"["
            if not self._is_row or indent:
                self._held = [raw]
                self._end = (indent + (b"]" if self._is_row else b"}"),)
            return ()
        if raw[-1:] == b"[" and _LISTS.fullmatch(raw):
            return ()
        return (raw,)

    def _push_apart(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Return what is whole of lines in a list that holds no fields, bracket left out."""
        self._held = []
        out: list[bytes] = []
        for raw in lines:
            out.extend(self.push(raw))
        return out

    def end(self) -> Sequence[bytes]:
        """Return the lines of an object that did not end."""
        held, self._held = self._held, []
        return held


_DOCUMENT_LINES = 4096
#: How the lines of a list of fields begin.
_ROW = (b"[", b"{", b'"field"')
_IN_JSON = b'"{}[]'
_LISTS = re.compile(
    rb'\s*"(?:events|hits|entries|items|logEvents|results?|data|records|streams|values)"\s*:\s*\[\s*'
)
