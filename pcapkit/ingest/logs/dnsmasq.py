"""The query log of dnsmasq (``log-queries``): kube-dns, node caches, Pi-hole.

    dnsmasq[23]: query[A] api.acme.test from 10.9.0.32
    dnsmasq[23]: forwarded api.acme.test to 10.0.0.2
    dnsmasq[23]: reply api.acme.test is 192.0.2.7

The lines are those of dnsmasq's ``cache.c`` (``log_query``). A reply names no client: it answers
every client that waits for that name and family. With ``log-queries=extra`` a serial number and the
client's address and port stand in every line. What is forwarded goes upstream and is no query of a
client. A line shows neither message ID nor flags.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pcapkit.cluster.pods import Pod
from pcapkit.ingest.inputs.recognise import DNSMASQ
from pcapkit.ingest.inputs.wrappings import Line
from pcapkit.ingest.logs.lines import (
    MONTHS,
    LineMessage,
    PlainReader,
    moment,
    packed_address,
    packed_end,
    time_of,
    type_of,
    whole_number,
    wire_name,
)
from pcapkit.schema import QR

_SYSLOG = re.compile(
    r"(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d(?:\.\d+)?)"
)
_KLOG = re.compile(r"[IWEF](?P<month>\d\d)(?P<day>\d\d) (?P<clock>\d\d:\d\d:\d\d\.\d+)")
_OWN = re.compile(r"dnsmasq(?:-\w+)?(?:\[\d+\])?: ")
_RCODES = {"SERVFAIL": 2, "REFUSED": 5, "NOTIMP": 4, "FORMERR": 1, "NXDOMAIN": 3}
_WAITING = 1 << 14  # names that are waited for, and aliases that are known
_ALIASES = 1 << 12
_SHORT_SIGN = re.compile(
    r"query\[[\w=]+\] \S+ from |(?:reply|cached|config|forwarded) \S+ (?:is|to) "
)


@dataclass(slots=True)
class _Asked:
    """A query that waits for its reply."""

    client: bytes
    port: int
    qname: bytes
    qtype: int
    serial: str


class DnsmasqReader(PlainReader):
    """Turns query and reply lines into messages."""

    def __init__(self, ports: frozenset[int], pods: dict[bytes, Pod]) -> None:  # noqa: ARG002
        self._waiting: dict[bytes, list[_Asked]] = {}
        self._alias: dict[bytes, set[bytes]] = {}
        self._undated = False
        self._zone_unknown = False
        self._failed = 0

    def read(self, line: Line) -> Sequence[LineMessage] | str | None:
        """Return a line's query, or the responses that a reply stands for."""
        text = line.text.rstrip()
        own = _OWN.search(text)
        if own is None and not _SHORT_SIGN.search(text):
            return None
        match = DNSMASQ.search(text, max(own.start(), 0) if own else 0)
        if match is None:
            return "text_not_understood" if "query[" in text else "other_event"
        what = match["what"]
        if what.startswith("query["):
            return self._query(match, self._time(text[: match.start()], line))
        if what.startswith(("forwarded", "dnssec-query")):
            return "upstream_leg"
        if match["verb"] != "is" or what in ("DHCP", "nameserver"):
            return "other_event"
        if what == "reply" and match["name"] == "error":
            return self._errors(match, self._time(text[: match.start()], line))
        return self._reply(match, self._time(text[: match.start()], line)) or "other_event"

    def warnings(self) -> list[str]:
        """Say what the times and outcomes rest on."""
        found = ["a reply names no client: it answers those that wait for its name"]
        if self._undated:
            found.append("times have no year: dated 1970, and taken as UTC")
        elif self._zone_unknown:
            found.append("times have no zone: taken as UTC")
        return found

    def _time(self, before: str, line: Line) -> int | None:
        for pattern in (_KLOG, _SYSLOG):
            if match := pattern.search(before):
                month = match["month"]
                number = MONTHS.get(month, 0) if month.isalpha() else int(month)
                self._undated = True
                return moment(1970, number, int(match["day"]), match["clock"])
        if (found := time_of(before) or time_of(line.time)) is None:
            return None
        self._zone_unknown |= not found[1]
        return found[0]

    def _query(self, match: re.Match[str], time: int | None) -> Sequence[LineMessage] | str:
        address = match["from"] or (match["value"] or "").split(" ")[0]
        if match["verb"] != "from" and not match["from"]:
            return "text_not_understood"
        kind = match["type"].removeprefix("type=")
        asked = _Asked(
            packed_end(address),
            whole_number(match["port"] or 0, 0xFFFF),
            wire_name(match["name"]),
            type_of(kind),
            match["serial"] or "",
        )
        key = asked.qname.lower()
        if len(self._waiting) >= _WAITING:
            self._waiting.clear()
        waiting = self._waiting.setdefault(key, [])
        again = [
            a
            for a in waiting
            if (a.client, a.port, a.qtype) == (asked.client, asked.port, asked.qtype)
        ]
        if not again:
            waiting.append(asked)
        return (_message(asked, time),)

    def _reply(self, match: re.Match[str], time: int | None) -> Sequence[LineMessage]:
        name, value = wire_name(match["name"]).lower(), match["value"].strip()
        asked_for = {name, *self._alias.get(name, ())}
        if value == "<CNAME>":
            self._note_alias(name)
            return ()
        if name not in self._waiting and not any(n in self._waiting for n in asked_for):
            asked_for |= self._open_alias()
        types, rcode, answers = _outcome(value)
        out = []
        for wire in asked_for:
            for asked in list(self._waiting.get(wire, ())):
                if match["serial"] and asked.serial != match["serial"]:
                    continue
                if types is None or asked.qtype in types:
                    out.append(self._answer(asked, time, rcode, answers))
        self._last_alias = None
        return out

    _last_alias: bytes | None = None

    def _note_alias(self, name: bytes) -> None:
        """Remember that what is replied next belongs to this name, an alias."""
        self._last_alias = self._last_alias or name

    def _open_alias(self) -> set[bytes]:
        return {self._last_alias} if self._last_alias is not None else set()

    def _errors(self, match: re.Match[str], time: int | None) -> Sequence[LineMessage] | str:
        """A failure names no query but by its serial number: else the one that waits longest."""
        rcode = _RCODES.get(match["value"].split(" ")[0], 2)
        every = [a for waiting in self._waiting.values() for a in waiting]
        found = [a for a in every if a.serial == match["serial"]] if match["serial"] else every[:1]
        return [self._answer(a, time, rcode, 0) for a in found] or "other_event"

    def _answer(self, asked: _Asked, time: int | None, rcode: int, answers: int) -> LineMessage:
        key = asked.qname.lower()
        self._waiting[key].remove(asked)
        if not self._waiting[key]:
            del self._waiting[key]
        message = _message(asked, time)
        message.flags, message.rcode = QR | rcode, rcode
        message.answers = message.typed_answers = answers
        return message


def _message(asked: _Asked, time: int | None) -> LineMessage:
    return LineMessage(
        client=asked.client,
        client_port=asked.port,
        qname=asked.qname,
        qtype=asked.qtype,
        flags=0,
        flags_shown=False,
        time=time,
    )


def _outcome(value: str) -> tuple[tuple[int, ...] | None, int, int]:
    """Return the query types that a reply answers (None: all), its code, and how many records."""
    word = value.split(" ")[0]
    if word == "NXDOMAIN" or word.startswith("NXDOMAIN-"):
        family = {"NXDOMAIN-IPv4": (1,), "NXDOMAIN-IPv6": (28,)}.get(word)
        return family, 3, 0
    if word.startswith("NODATA"):
        return {"NODATA-IPv4": (1,), "NODATA-IPv6": (28,)}.get(word), 0, 0
    if word in _RCODES:
        return None, _RCODES[word], 0
    try:
        return ((1,) if len(packed_address(word)) == 4 else (28,)), 0, 1
    except ValueError:
        pass
    kind = word.strip("<>")
    if word.startswith("<") and kind.isupper():
        try:
            return (type_of(kind),), 0, 1
        except ValueError:
            return None, 0, 1
    return (12,), 0, 1  # a name: of a reverse lookup
