"""DNS events that Inspektor Gadget prints as JSON lines.

Two forms are read: that of the built-in gadget (``kubectl gadget trace dns -o json``; its
``pkg/gadgets/trace/dns/types/dns.go``) and that of the image gadget (``ig run trace_dns -o json``,
``kubectl gadget run trace_dns``; inspektor-gadget.io, "trace_dns"). An event is one packet in one
network namespace: a packet is seen again in the server's, which the duplicate filter knows by its
bytes elsewhere, and here by what both events show. Neither form shows AA.

Tables are read by the columns that their heading names. Where an event shows no addresses, the pod
that it names is the client.

Addresses are the A and AAAA records of an answer. Where the built-in gadget lists none, the number
of answers is all there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pcapkit.addresses import packed_name
from pcapkit.cluster.pods import Pod
from pcapkit.codes import RCODE_NUMBERS
from pcapkit.ingest.inputs.recognise import gadget_columns
from pcapkit.ingest.inputs.wrappings import Line
from pcapkit.ingest.logs.lines import (
    FAMILY,
    LineMessage,
    NotUnderstood,
    PlainReader,
    family_answers,
    nanoseconds,
    packed_address,
    part,
    pod_of,
    texts,
    type_of,
    whole_number,
    wire_name,
)
from pcapkit.schema import QR, RA, RD, TC, TCP, UDP

_RCODES = {
    "SUCCESS": 0,
    "FORMATERROR": 1,
    "SERVERFAILURE": 2,
    "NAMEERROR": 3,
    "NOTIMPLEMENTED": 4,
    **RCODE_NUMBERS,
}
_OTHER_PORTS = {5353: "multicast_dns", 5355: "llmnr"}
_BOOT = 365 * 86_400 * 1_000_000_000  # a time below this counts from the start of the machine


class GadgetReader(PlainReader):
    """Turns events into messages."""

    def __init__(self, ports: frozenset[int], pods: dict[bytes, Pod]) -> None:
        self._ports = ports
        self._pods = pods
        self._namespaces: dict[object, int] = {}
        self._columns: dict[str, int] = {}
        self.without_address = self.by_pod = 0
        self.since_boot = False

    def read(self, line: Line) -> Sequence[LineMessage] | str | None:
        """Return an event's message."""
        event = line.record
        if event is None:
            event = self._of_columns(line.text)
            if event is None:
                return "text_not_understood" if line.text.lstrip()[:1] == "{" else None
        if "qr" not in event and "qr_raw" not in event:
            return "other_event" if line.record is not None else None
        ends = [_end(event, "src"), _end(event, "dst")]
        is_response = _is_response(event)
        if not all(address for address, _ in ends):
            return self._of_pod(event, is_response=is_response)
        ports = [port for _, port in ends]
        if not self._ports.intersection(ports):
            for port in ports:
                if port in _OTHER_PORTS:
                    return _OTHER_PORTS[port]
        client, server = (ends[1], ends[0]) if is_response else (ends[0], ends[1])
        return (self._message(event, client, server, is_response=is_response),)

    def warnings(self) -> list[str]:
        """Say what the times rest on, and what was missing."""
        found = []
        if self.without_address:
            found.append(
                f"{self.without_address} events have no addresses: trace with a newer gadget"
            )
        if self.by_pod:
            found.append(
                f"{self.by_pod} events have no addresses: the pod that they name is the client"
            )
        if self.since_boot:
            found.append("times count from the start of the machine: they start at 1970-01-01")
        return found

    def _of_columns(self, text: str) -> dict[str, Any] | None:
        """Return the event in a line of a table, None for another line; its heading says how."""
        if (columns := gadget_columns(text)) is not None:
            self._columns = columns
            return {}
        if not self._columns or not text.strip():
            return None
        found = _cells(text, self._columns)
        if found.get("QR") not in ("Q", "R"):
            return None
        event: dict[str, Any] = {"qr": found["QR"]}
        for key, columns_of in _OF_COLUMNS.items():
            for column in columns_of:
                if found.get(column):
                    event.setdefault(key, found[column])
        if (kind := found.get("PKT_TYPE", found.get("TYPE"))) in ("HOST", "OUTGOING"):
            event["pkt_type"] = kind
        for side in ("src", "dst"):
            if end := found.get(side.upper()):
                address, port = _split_end(end)
                event[side] = {"addr": address, "port": port, "proto": "UDP"}
        return event

    def _of_pod(self, event: dict[str, Any], *, is_response: bool) -> tuple[LineMessage] | str:
        """Return the message of an event without addresses: the pod it names is the client.

        In the server's pod, where a query comes in and a response goes out, it says nothing.
        """
        kind = event.get("pktType", event.get("pkt_type"))
        pod = _pod(event, is_response=is_response) if kind is not None else _pod_of(event)
        if pod is None:
            self.without_address += 1
            return "no_client_address"
        self.by_pod += 1
        client = packed_name(f"{pod.namespace}/{pod.name}" if pod.namespace else pod.name)
        self._pods.setdefault(client, pod)
        message = LineMessage(
            client=client,
            client_port=0,
            qname=wire_name(event.get("name")),
            qtype=type_of(event.get("qtype_raw", event.get("qtype"))),
            flags=0,
            flags_shown=False,
            message_id=_message_id(event.get("id")),
            time=self._time(event),
        )
        if is_response:
            _add_response(message, event)
        return (message,)

    def _message(
        self,
        event: dict[str, Any],
        client: tuple[object, int],
        server: tuple[object, int],
        *,
        is_response: bool,
    ) -> LineMessage:
        flags = sum(bit for key, bit in (("tc", TC), ("rd", RD), ("ra", RA)) if event.get(key))
        message = LineMessage(
            client=packed_address(client[0]),
            client_port=client[1],
            server=packed_address(server[0]),
            server_port=server[1],
            qname=wire_name(event.get("name")),
            qtype=type_of(event.get("qtype_raw", event.get("qtype"))),
            flags=flags,
            flags_shown=False,
            message_id=_message_id(event.get("id")),
            time=self._time(event),
            transport=TCP if _protocol(event) == "TCP" else UDP,
            interface=self._namespace(event),
        )
        if is_response:
            _add_response(message, event)
        message.place = message.interface
        message.content = repr(
            (message.message_id, message.flags, message.qname, message.qtype, message.answers)
        ).encode()
        if (pod := _pod(event, is_response=is_response)) is not None:
            self._pods.setdefault(message.client, pod)
        return message

    def _time(self, event: dict[str, Any]) -> int | None:
        time = event.get("timestamp", event.get("timestamp_raw"))
        if isinstance(time, str):
            found = nanoseconds(time)
            return None if found is None else found[0]
        if not isinstance(time, int) or not 0 < time < 1 << 63:
            return None
        self.since_boot |= time < _BOOT
        return time

    def _namespace(self, event: dict[str, Any]) -> int:
        number = event.get("netns_id", event.get("netnsid"))
        if not isinstance(number, int):
            return 0
        return self._namespaces.setdefault(number, len(self._namespaces) + 1)


def _end(event: dict[str, Any], side: str) -> tuple[object, int]:
    """Return the address (None where there is none) and port of the source or destination."""
    if new := part(event, side):
        return new.get("addr"), whole_number(new.get("port", 0), 0xFFFF)
    return event.get(f"{side}IP"), whole_number(event.get(f"{side}Port", 0), 0xFFFF)


def _pod(event: dict[str, Any], *, is_response: bool) -> Pod | None:
    """Return the pod of the network namespace, where that is the client's.

    There a query goes out and a response comes in; in the server's it is the other way round.
    """
    kind = event.get("pktType", event.get("pkt_type"))
    if kind != ("HOST" if is_response else "OUTGOING"):
        return None
    return _pod_of(event)


def _pod_of(event: dict[str, Any]) -> Pod | None:
    of = part(event, "k8s")
    name = of.get("podName", of.get("pod", event.get("pod")))
    namespace = of.get("namespace", event.get("namespace"))
    return pod_of(name, namespace, part(of, "owner").get("name"))


def _protocol(event: dict[str, Any]) -> str:
    return str(event.get("protocol") or part(event, "src").get("proto")).upper()


def _is_response(event: dict[str, Any]) -> bool:
    value = event.get("qr", event.get("qr_raw"))
    if value not in ("Q", "R", 0, 1):
        raise NotUnderstood(f"neither query nor response: {value!r}")
    return value in ("R", 1)


def _message_id(value: object) -> int | None:
    """Return an ID, which is printed as four hexadecimal digits."""
    if isinstance(value, str):
        number = int(value, 16)
        if not 0 <= number <= 0xFFFF:
            raise NotUnderstood(f"ID {value!r}")
        return number
    return None if value is None else whole_number(value, 0xFFFF)


def _rcode(event: dict[str, Any]) -> int:
    value = event.get("rcode_raw", event.get("rcode", 0))
    if isinstance(value, str) and value.upper() in _RCODES:
        return _RCODES[value.upper()]
    return whole_number(value, 0xFFF)


def _add_response(message: LineMessage, event: dict[str, Any]) -> None:
    message.rcode = _rcode(event)
    message.flags |= QR | (message.rcode & 15)
    message.answers = whole_number(event.get("num_answers", event.get("numAnswers", 0)), 0xFFFF)
    listed = event.get("addresses")
    if message.qtype in FAMILY and listed is not None:
        addresses = listed.split(",") if isinstance(listed, str) else texts(listed)
        message.typed_answers = family_answers(message.qtype, addresses)
    else:
        message.typed_answers = message.answers


#: Fields of an event by the columns of a table that hold them.
_OF_COLUMNS = {
    "pod": ("PODNAME", "POD"),
    "namespace": ("NAMESPACE",),
    "name": ("NAME",),
    "qtype": ("QTYPE",),
    "rcode": ("RCODE",),
    "id": ("ID",),
    "num_answers": ("NUM_ANSWERS", "NUMANSWERS"),
    "addresses": ("ADDRESSES",),
    "timestamp": ("TIMESTAMP",),
    "netns_id": ("NETNS_ID", "NETNS"),
}


def _cells(text: str, columns: dict[str, int]) -> dict[str, str]:
    """Return the values of a table's line by its columns.

    A value begins under its column's name; one that is too long pushes those behind it, and then
    the words are counted where there are as many as columns.
    """
    words = text.split()
    if len(words) == len(columns):
        return dict(zip(columns, words, strict=True))
    names = list(columns)
    out: dict[str, str] = {}
    starts = list(columns.values())
    at = 0
    for word in words:
        at = text.index(word, at)
        column = max((k for k, start in enumerate(starts) if start <= at), default=0)
        name = names[column]
        if name in out:  # pushed out of its column by the one before it
            free = next((n for n in names[column + 1 :] if n not in out), None)
            if free is None:
                continue
            name = free
        out[name] = word
        at += len(word)
    return out


def _split_end(text: str) -> tuple[str, int]:
    """Return address and port of an end such as ``p/default/web:4041`` or ``10.0.0.1:53``."""
    address, _, port = text.rpartition(":")
    if not port.isdigit() or not address:
        return text, 0
    return address.strip("[]"), min(int(port[:6]), 0xFFFF)
