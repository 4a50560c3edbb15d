"""DNS events that Inspektor Gadget prints as JSON lines.

Two forms are read: that of the built-in gadget (``kubectl gadget trace dns -o json``; its
``pkg/gadgets/trace/dns/types/dns.go``) and that of the image gadget (``ig run trace_dns -o json``,
``kubectl gadget run trace_dns``; inspektor-gadget.io, "trace_dns"). An event is one packet in one
network namespace: a packet is seen again in the server's, which the duplicate filter knows by its
bytes elsewhere, and here by what both events show. Neither form shows AA.

Addresses are the A and AAAA records of an answer. Where the built-in gadget lists none, the number
of answers is all there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pcapkit.cluster.pods import Pod
from pcapkit.codes import RCODE_NUMBERS
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.logs.lines import (
    LineMessage,
    NotUnderstood,
    json_object,
    nanoseconds,
    packed_address,
    part,
    pod_of,
    read_lines,
    texts,
    type_of,
    whole_number,
    wire_name,
)
from pcapkit.ingest.window import Capture, Interners
from pcapkit.schema import QR, RA, RD, TC, TCP, UDP

_FAMILY = {1: ".", 28: ":"}
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


def read_trace_dns(source: Source, interners: Interners, *, ports: frozenset[int]) -> Capture:
    """Return the capture behind the gadget's events."""
    capture = Capture(source.path, "Inspektor Gadget", source.compression, iter(()))
    capture.windows = read_lines(source, interners, capture, _Reader(ports, capture.pods))
    return capture


class _Reader:
    """Turns events into messages."""

    def __init__(self, ports: frozenset[int], pods: dict[bytes, Pod]) -> None:
        self._ports = ports
        self._pods = pods
        self._namespaces: dict[object, int] = {}
        self.without_address = 0
        self.since_boot = False

    def read(self, line: bytes) -> Sequence[LineMessage] | str:
        """Return an event's message."""
        event = json_object(line)
        if "qr" not in event and "qr_raw" not in event:
            return "other_event"
        ends = [_end(event, "src"), _end(event, "dst")]
        if not all(address for address, _ in ends):
            self.without_address += 1
            return "no_client_address"
        is_response = _is_response(event)
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
        if self.since_boot:
            found.append("times count from the start of the machine: they start at 1970-01-01")
        return found

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
    if message.qtype in _FAMILY and listed is not None:
        addresses = listed.split(",") if isinstance(listed, str) else texts(listed)
        message.typed_answers = sum(_FAMILY[message.qtype] in a for a in addresses)
    else:
        message.typed_answers = message.answers
