"""Containers that ptcpdump's comments on packets name are clients of their own."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pcapkit import analyze
from pcapkit.model.clients import Client
from pcapkit.model.results import Results
from pcapkit.pipeline.options import make_options
from tests import build, play
from tests.build import CLIENT, INBOUND, MS, OUTBOUND, Packet, ng_comments, ptcpdump

GLIBC = play.SHOP
#: The same names, asked by musl from other ports at the same address, at about the same time.
MUSL = play.SHOP.under(model="musl", first_port=40000, start_ns=build.START_NS + 50 * MS)
#: What stands behind a packet: options of its block.
Options = Callable[[Packet, bool], bytes]


def is_response(packet: Packet) -> bool:
    """Does the packet come from port 53?"""
    (port,) = struct.unpack_from(">H", packet.data, 34)
    return bool(port == 53)


def named(*comments: str | bytes, flags: bool = True) -> Options:
    """Put comments on every packet, on the client's side of the capture."""

    def options(packet: Packet, response: bool) -> bytes:
        direction = INBOUND if response else OUTBOUND
        return ng_comments(*comments, direction=direction if flags else None)

    return options


def unnamed(packet: Packet, response: bool) -> bytes:
    """Put nothing on a packet."""
    return b""


def capture(*workloads: tuple[play.Workload, Options]) -> bytes:
    """Return a capture of some workloads, each with its own comments."""
    packets = [
        (packet, options(packet, is_response(packet)))
        for workload, options in workloads
        for packet in workload.packets()
    ]
    packets.sort(key=lambda p: p[0].time)
    blocks = [build.ng_packet(packet, options=options) for packet, options in packets]
    return build.ng_section() + build.ng_interface() + b"".join(blocks)


def write(folder: Path, *workloads: tuple[play.Workload, Options], name: str = "c.pcapng") -> str:
    """Write a capture of some workloads."""
    return build.save(folder, capture(*workloads), name)


APP, SIDECAR = (named(*ptcpdump(c, pod="web-1")) for c in ("app", "sidecar"))


def clients(analysis: Results) -> dict[tuple[str, str | None], Client]:
    """Return the clients by address and container."""
    rows = {(c.client_addr, c.container): c for c in analysis.client_rows}
    assert len(rows) == len(analysis.client_rows)
    return rows


def alone(folder: Path, workload: play.Workload) -> Client:
    """Return the one client of a workload that has no comments."""
    (client,) = analyze(workload.write(folder, "alone.pcap")).client_rows
    return client


def judged(client: Client) -> tuple[object, ...]:
    """Return what is found of a client by its traffic."""
    return (
        client.search,
        client.search_source,
        client.ndots,
        client.resolver,
        client.lookups,
        client.queries,
        client.wasted_queries,
        client.mixture,
    )


def test_two_c_libraries_at_one_address_are_two_clients(tmp_path: Path) -> None:
    found = analyze(write(tmp_path, (GLIBC, APP), (MUSL, SIDECAR)))
    rows = clients(found)
    assert set(rows) == {(CLIENT, "app"), (CLIENT, "sidecar")}
    for container, workload in (("app", GLIBC), ("sidecar", MUSL)):
        row = rows[CLIENT, container]
        assert judged(row) == judged(alone(tmp_path, workload))
        assert (row.pod, row.namespace) == ("web-1", "shop")
        assert row.resolver.model == workload.model
    assert not [f for f in found.findings if f.code == "mixed_settings"]
    assert not [w for w in found.warnings if "several resolvers" in w]


def test_without_comments_they_are_a_mixture(tmp_path: Path) -> None:
    """The same packets: it is the comments that tell the two apart."""
    found = analyze(write(tmp_path, (GLIBC, unnamed), (MUSL, unnamed)))
    (row,) = found.client_rows
    assert row.container is None and row.mixture
