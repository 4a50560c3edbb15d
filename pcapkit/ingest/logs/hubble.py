"""DNS flows that Hubble prints as JSON lines: ``hubble observe -o jsonpb --protocol dns``.

The fields are those of Cilium's ``api/v1/flow/flow.proto`` (docs.cilium.io, "Protocol
Documentation"), in the mapping of Protocol Buffers to JSON: zeros and empty lists are left out. A
line is one flow, in an object ``flow`` or by itself; DNS flows need Cilium's DNS visibility (an L7
rule). A flow shows neither the message ID nor the header's flags. Its ``rrtypes`` are the types of
the records in the answer; a ``ttl`` of 4294967295 stands for no record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pcapkit.cluster.pods import Pod
from pcapkit.ingest.inputs.recognise import HUBBLE_EVENTS
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
from pcapkit.schema import ABSENT, QR, TCP, UDP

_ALIASES = ("CNAME", "DNAME", "RRSIG")


class HubbleReader(PlainReader):
    """Turns flows into messages."""

    def __init__(self, ports: frozenset[int], pods: dict[bytes, Pod]) -> None:
        self._ports = ports
        self._pods = pods
        self._nodes: dict[object, int] = {}
        self.lost = 0

    def read(self, line: Line) -> Sequence[LineMessage] | str | None:
        """Return a flow's message."""
        event = line.record
        if event is None:
            return "text_not_understood" if "{" in line.text else None
        if "lost_events" in event:
            self.lost += whole_number(part(event, "lost_events").get("num_events_lost", 0), 1 << 62)
        flow = part(event, "flow") or event
        dns = part(flow, "l7", "dns")
        if not dns:
            known = any(k in event for k in HUBBLE_EVENTS) or "verdict" in event
            return "other_event" if known or not event else None
        return (self._message(flow, dns),)

    def warnings(self) -> list[str]:
        """Say what Hubble itself has lost."""
        return [f"Hubble lost {self.lost} events: queries may be missing"] if self.lost else []

    def _message(self, flow: dict[str, Any], dns: dict[str, Any]) -> LineMessage:
        kind = part(flow, "l7").get("type")
        if kind not in ("REQUEST", "RESPONSE"):
            raise NotUnderstood(f"a flow of type {kind!r}")
        tcp = bool(part(flow, "l4", "TCP"))
        ends = part(flow, "l4", "TCP" if tcp else "UDP")
        ports = [whole_number(ends.get(f"{k}_port", 0), 0xFFFF) for k in ("source", "destination")]
        addresses = [packed_address(part(flow, "IP").get(k)) for k in ("source", "destination")]
        to_client = kind == "RESPONSE"
        if (ports[0] in self._ports) != (ports[1] in self._ports):
            to_client = ports[0] in self._ports
        client, server = (1, 0) if to_client else (0, 1)
        pod = _pod(part(flow, ("source", "destination")[client]))
        types = texts(dns.get("qtypes"))
        message = LineMessage(
            client=addresses[client],
            client_port=ports[client],
            server=addresses[server],
            server_port=ports[server],
            qname=wire_name(dns.get("query")),
            qtype=type_of(types[0] if types else None),
            flags=0,
            flags_shown=False,
            time=_time(flow.get("time")),
            transport=TCP if tcp else UDP,
        )
        if kind == "RESPONSE":
            _add_response(message, dns)
        if ports[client]:  # a flow that another node saw too
            node = flow.get("node_name")
            message.place = node if isinstance(node, str) else ""
            message.interface = self._nodes.setdefault(message.place, len(self._nodes))
            message.content = repr((kind, message.qname, message.qtype, sorted(dns))).encode()
        if pod is not None:
            self._pods.setdefault(message.client, pod)
        return message


def _pod(endpoint: dict[str, Any]) -> Pod | None:
    workloads = endpoint.get("workloads")
    first = workloads[0] if isinstance(workloads, list) and workloads else None
    workload = first.get("name") if isinstance(first, dict) else None
    return pod_of(endpoint.get("pod_name"), endpoint.get("namespace"), workload)


def _add_response(message: LineMessage, dns: dict[str, Any]) -> None:
    message.rcode = whole_number(dns.get("rcode", 0), 0xFFF)
    message.flags = QR | (message.rcode & 15)
    addresses, types = texts(dns.get("ips")), texts(dns.get("rrtypes"))
    if message.qtype in FAMILY:
        message.typed_answers = family_answers(message.qtype, addresses)
    else:
        message.typed_answers = sum(t not in _ALIASES for t in types)
    message.answers = len(types) or len(addresses) + len(texts(dns.get("cnames")))
    ttl = whole_number(dns.get("ttl", 0), 0xFFFFFFFF)
    message.min_ttl = ttl if message.typed_answers and ttl < 0x80000000 else ABSENT


def _time(value: object) -> int | None:
    """Return a time that is RFC 3339 text, or seconds and nanoseconds."""
    if isinstance(value, str):
        found = nanoseconds(value)
        return None if found is None else found[0]
    if isinstance(value, dict):
        seconds = whole_number(value.get("seconds", 0), 1 << 33)
        return seconds * 1_000_000_000 + whole_number(value.get("nanos", 0), 999_999_999)
    return None
