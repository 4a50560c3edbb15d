"""A client is read in pieces and in threads as it is read at once: the same bytes come out."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

import pcapkit
from pcapkit.analysis.lookups import reading
from tests import build
from tests.analysis.talk import LIST, NAMESPACE, SERVFAIL, SERVICES, Talk
from tests.build import AAAA

NAMES = ("cart", "api.example.com", "redis.data", "kms.eu-west-1.example.net", "gone", "www.x.org")
TXT, PTR = 16, 12


def _busy_client(seed: int) -> Talk:
    """Walks of many names at once, with retries, changed settings, and a file's cut ends."""
    dice, talk = Random(seed), Talk()
    for k, suffix in enumerate(LIST[1:]):  # walks that began before the capture
        talk.pair(3 * k, f"early.example.com.{suffix}", rcode=3)
    talk.pair(9, "early.example.com")
    talk.pair(4, "early.example.org")
    talk.pair(5, "api.example.com")
    for n in range(400):
        at = 20 + 9 * n + dice.random() * 20
        base = f"{dice.choice(('', f'h{n % 40}-'))}{dice.choice(NAMES)}"
        kind = dice.random()
        if kind < 0.5:
            ends_at = dice.choice((0, 1, None))
            talk.walk(at, base, ends_at=ends_at, edns=n > 200 and kind < 0.05)
        elif kind < 0.6:  # ndots 1 for a while, or a name with a final dot
            talk.pair(at, base)
        elif kind < 0.68:  # as is first, the list after it
            talk.pair(at, base, rcode=3)
            for k, suffix in enumerate(LIST):
                talk.pair(at + 1 + k, f"{base}.{suffix}", rcode=3)
        elif kind < 0.76:  # lost, and asked again
            port, ident = 20_000 + n, 500 + n
            name = f"{base}.{NAMESPACE}"
            talk.exchange(at, name, took=None, port=port, ident=ident)
            talk.exchange(at + 5000, name, port=port, ident=ident)
            talk.exchange(at, name, AAAA, answers=[], port=port)
        elif kind < 0.82:
            talk.exchange(at, f"{base}.{SERVICES}", rcode=SERVFAIL)
        elif kind < 0.86:
            talk.exchange(at, f"{n % 9}.0.244.10.in-addr.arpa", PTR, rcode=3)
        elif kind < 0.9:
            talk.exchange(at, "", AAAA, rcode=3)
        elif kind < 0.93:
            talk.exchange(at, f"_grpc_config.{base}", TXT, rcode=3)
        elif kind < 0.96:
            talk.exchange(at, f"Big.{base}", tcp=True)
        else:
            talk.walk(at, base, ("corp.example.com",))
    for k, base in enumerate(NAMES):  # and walks that go on after its end
        talk.pair(8700 + k, f"{base}.{NAMESPACE}", rcode=3)
    return talk


def _read(
    path: str, pieces: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[object, ...]:
    """Return all that an analysis and its tables say, read in so many pieces or a few more."""
    messages = pcapkit.analyze(path).message_counts.total
    with monkeypatch.context() as patch:
        patch.setattr(reading, "MOST_AT_ONCE", 1 << 20 if pieces == 1 else messages // (2 * pieces))
        patch.setattr("pcapkit.concurrency.READERS", threads)
        found = pcapkit.analyze(path)
        return found.to_json(), found.lookups.to_csv(), found.transactions.to_csv()


@pytest.mark.parametrize("pieces", [2, 7])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pieces_and_threads_never_show(
    pieces: int, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build.save(tmp_path, _busy_client(seed).capture(), "busy.pcap")
    at_once = _read(path, 1, 1, monkeypatch)
    for threads in (1, 2):
        assert _read(path, pieces, threads, monkeypatch) == at_once
