"""Flows of NetObserv's agent with DNS tracking, as JSON: one line a response and its query.

The fields are those of netobserv.io's flow logs ("Network Flows format reference"): the ends of the
flow, ``DnsId``, ``DnsFlags``, ``DnsFlagsResponseCode``, ``DnsLatencyMs`` and, from 1.9 on,
``DnsName``. A flow shows no query type: of the two that one port asks for one name, the first is
taken for A and the second for AAAA, as resolvers ask. It shows no records: NOERROR counts as an
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pcapkit.cluster.pods import Pod
from pcapkit.codes import RCODE_NUMBERS
from pcapkit.ingest.inputs.wrappings import Line
from pcapkit.ingest.logs.lines import (
    LineMessage,
    NotUnderstood,
    PlainReader,
    packed_address,
    pod_of,
    time_of,
    whole_number,
    wire_name,
)
from pcapkit.schema import AA, QR, RA, RD, TC, TCP, UDP

_CODES = {"NOERROR": 0, **RCODE_NUMBERS}
_FLAGS = QR | AA | TC | RD | RA
_A, _AAAA = 1, 28
_ASKED = 1 << 14
_TCP = 6
_LONGEST_MS = 86_400_000


class FlowReader(PlainReader):
    """Turns flows into messages."""

    def __init__(self, ports: frozenset[int], pods: dict[bytes, Pod]) -> None:
        self._ports, self._pods = ports, pods
        self._types: dict[tuple[bytes, int, bytes], dict[int, int]] = {}
        self._agents: dict[object, int] = {}
        self._nameless = self._flows = 0

    def read(self, line: Line) -> Sequence[LineMessage] | str | None:
        """Return a flow's query and response."""
        flow = line.record
        if flow is None:
            return "text_not_understood" if "{" in line.text else None
        if "SrcAddr" not in flow:
            return None
        if not flow.get("DnsId") and not flow.get("DnsName"):
            return "other_event"
        if not flow.get("DnsName"):
            self._nameless += 1
            return "text_not_understood"
        return self._messages(flow)

    def warnings(self) -> list[str]:
        """Say what the types and outcomes rest on."""
        found = []
        if self._flows:
            found.append(
                "flows show no query types: of two that one port asks for one name, the first is "
                "taken for A, the second for AAAA; NOERROR counts as an answer"
            )
        if self._nameless:
            found.append(
                f"{self._nameless} flows show no name (DnsName): use NetObserv 1.9 or newer"
            )
        return found

    def _messages(self, flow: dict[str, Any]) -> Sequence[LineMessage] | str:
        ports = [whole_number(flow.get(k, 0), 0xFFFF) for k in ("SrcPort", "DstPort")]
        addresses = [packed_address(flow.get(k)) for k in ("SrcAddr", "DstAddr")]
        client, server = (1, 0) if ports[0] in self._ports else (0, 1)
        end = time_of(flow.get("TimeFlowEndMs", flow.get("TimeFlowStartMs")))
        latency = flow.get("DnsLatencyMs", 0)
        if isinstance(latency, bool) or not isinstance(latency, (int, float)):
            raise NotUnderstood("no latency")
        if not latency <= _LONGEST_MS:
            raise NotUnderstood("no latency")
        flags = whole_number(flow.get("DnsFlags", 0), 0xFFFF)
        wire, number = wire_name(flow.get("DnsName")), whole_number(flow.get("DnsId", 0), 0xFFFF)
        side = "Src" if client == 0 else "Dst"
        pod = pod_of(
            flow.get(f"{side}K8S_Name") if flow.get(f"{side}K8S_Type") in (None, "Pod") else None,
            flow.get(f"{side}K8S_Namespace"),
            flow.get(f"{side}K8S_OwnerName"),
        )
        if pod is not None:
            self._pods.setdefault(addresses[client], pod)
        transport = TCP if flow.get("Proto") == _TCP else UDP
        query = LineMessage(
            client=addresses[client],
            client_port=ports[client],
            server=addresses[server],
            server_port=ports[server],
            qname=wire,
            qtype=self._type(addresses[client], ports[client], wire.lower(), number),
            flags=flags & RD,
            flags_shown="DnsFlags" in flow,
            message_id=number,
            transport=transport,
            time=None if end is None else max(0, end[0] - max(0, round(latency * 1_000_000))),
        )
        query.content = repr((number, wire, 0)).encode()
        agent = flow.get("AgentIP")
        query.place = agent if isinstance(agent, str) else ""
        query.interface = self._agents.setdefault(query.place, len(self._agents))
        self._flows += 1
        if not flags & QR and flow.get("DnsErrno"):
            return (query,)
        code = flow.get("DnsFlagsResponseCode")
        rcode = _CODES.get(str(code).upper(), -1) if code else flags & 15
        if rcode < 0:
            raise NotUnderstood("no response code")
        response = LineMessage(
            client=query.client,
            client_port=query.client_port,
            server=query.server,
            server_port=query.server_port,
            qname=wire,
            qtype=query.qtype,
            flags=QR | (flags & _FLAGS) | (rcode & 15),
            flags_shown=query.flags_shown,
            message_id=number,
            transport=transport,
            rcode=rcode,
            answers=0 if rcode else 1,
            typed_answers=0 if rcode else 1,
            time=None if end is None else end[0],
        )
        response.content = repr((number, wire, rcode)).encode()
        response.place, response.interface = query.place, query.interface
        return query, response

    def _type(self, client: bytes, port: int, name: bytes, number: int) -> int:
        """Return the query type that the order of a port's questions stands for."""
        if len(self._types) >= _ASKED:
            self._types.clear()
        known = self._types.setdefault((client, port, name), {})
        return known.setdefault(number, _AAAA if len(known) % 2 else _A)
