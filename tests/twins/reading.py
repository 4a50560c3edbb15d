"""What the package says of a capture, and the exchanges that twins say it of."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass

import pandas as pd

from pcapkit.names.labels import split
from pcapkit.pipeline.analyze import table_parts
from pcapkit.pipeline.collect import Collected, collect
from tests.twins.grouping import Exchange
from tests.twins.traffic import Traffic


@dataclass(frozen=True)
class Read:
    """The exchanges of each client in time order, and the tables of lookups and transactions."""

    clients: dict[str, list[Exchange]]
    lookups: pd.DataFrame
    transactions: pd.DataFrame


def read(traffic: Traffic) -> Read:
    """Read a capture by the package."""
    with tempfile.TemporaryDirectory() as folder:
        path = traffic.write(folder)
        tables = []
        for table in ("lookups", "transactions"):
            frames, _ = table_parts([path], table, size=None, options=traffic.options)
            tables.append(next(frames))
        clients = exchanges_of(collect([path]))
    return Read(clients, *tables)


def exchanges_of(collected: Collected) -> dict[str, list[Exchange]]:
    """Return the exchanges of each client, by its address."""
    clients: dict[str, list[Exchange]] = defaultdict(list)
    addresses = collected.interners.addresses
    refused = {(ends.client, ends.server) for ends in collected.unreachable}
    for row in collected.store.read(collected.store.clients()):
        clients[collected.address(int(row["client"]))].append(
            Exchange(
                int(row["query_packet"]),
                int(row["query_time"]),
                int(row["response_time"]) if row["response_packet"] >= 0 else None,
                split(collected.name(int(row["folded"])).rstrip(".")),
                int(row["qtype"]),
                int(row["client_port"]),
                int(row["message_id"]),
                int(row["outcome"]),
                int(row["server"]),
                row["response_packet"] < 0
                and (addresses[int(row["client"])], addresses[int(row["server"])]) in refused,
            )
        )
    return clients
