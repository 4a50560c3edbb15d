"""A forwarder on the host: each lookup is counted once, where its client asks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests import build
from tests.analysis.talk import LIST, NXDOMAIN, Talk
from tests.build import AAAA, A

HOST, STUB = "127.0.0.1", "127.0.0.53"


def forwarded(
    *, upstream_client: str = build.CLIENT, local: str = STUB, server: str = build.SERVER
) -> Talk:
    """Ten lookups of a program, which its host's forwarder passes on, query by query."""
    talk, dice = Talk(client=HOST, server=local), Random(3)
    for n in range(10):
        for k, suffix in enumerate((*LIST, "")):
            at, port = 300 * n + 4 * k, dice.randrange(20000, 60000)
            for qtype, sent in ((A, at), (AAAA, at + 0.03)):
                how = {"rcode": NXDOMAIN if suffix else 0}
                name = f"api{n}.example.com.{suffix}".rstrip(".")
                talk.exchange(sent, name, qtype, took=2, port=port, **how)
                talk.exchange(
                    sent + 0.3, name, qtype, took=1, client=upstream_client, server=server, **how
                )
    return talk


@pytest.mark.parametrize("upstream_client", [build.CLIENT, HOST])
def test_lookups_are_counted_at_the_client(tmp_path: Path, upstream_client: str) -> None:
    seen = forwarded(upstream_client=upstream_client).analyze(tmp_path)
    assert [c.client_addr for c in seen.client_rows] == [HOST]
    assert (seen.lookup_counts.total, seen.transaction_counts.total) == (10, 80)
    assert seen.client_rows[0].search == LIST
    assert seen.packets.with_messages == 320
    (warning,) = [w for w in seen.warnings if "passed" in w]
    assert warning.startswith(f"{STUB} passed 80 queries on to {build.SERVER}:")


def test_a_nameserver_of_its_own_is_no_hop(tmp_path: Path) -> None:
    """Two programs: one asks its host, the other asks the nameserver by itself."""
    talk = Talk(client=HOST, server=STUB)
    for n in range(5):
        talk.walk(1000 * n, f"api{n}.example.com")
        talk.walk(1000 * n + 500, f"api{n}.example.com", client=build.CLIENT, server=build.SERVER)
    seen = talk.analyze(tmp_path)
    counted = Counter({c.client_addr: c.lookups for c in seen.client_rows})
    assert counted == {HOST: 5, build.CLIENT: 5} and not seen.warnings


def test_a_second_nameserver_after_a_timeout_is_no_hop(tmp_path: Path) -> None:
    """The stub resolver itself asks it, by the same ID, or after its timer under another."""
    talk = Talk(client=HOST, server=STUB)
    for n in range(5):
        for at, ident, server in ((0, 7, STUB), (1000, 7, build.SERVER)):
            took = None if server == STUB else 0.3
            talk.exchange(
                9000 * n + at,
                f"a{n}.example",
                took=took,
                port=30000 + n,
                ident=ident,
                server=server,
            )
        for at, ident, server in ((20, 8, STUB), (5020, 9, build.SERVER)):
            took = None if server == STUB else 0.3
            talk.exchange(9000 * n + at, f"b{n}.example", took=took, ident=ident, server=server)
    seen = talk.analyze(tmp_path)
    assert (seen.transaction_counts.total, seen.transaction_counts.retries) == (10, 10)
