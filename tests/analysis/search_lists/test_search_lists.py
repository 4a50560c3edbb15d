"""Search lists that traffic shows."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from pcapkit.analysis.search_lists.infer import Inference
from tests.analysis.talk import LIST, NAMESPACE, SERVICES, Talk
from tests.build import AAAA, A

NXDOMAIN = 3


@pytest.mark.parametrize("chances", [1, 2])
def test_two_lookups_at_once_make_no_suffix(tmp_path: Path, chances: int) -> None:
    """``web.shop`` and ``web`` at once look like one walk: the chance of it grows with traffic."""
    talk = Talk()
    for n in range(120 * chances):
        talk.walk(1000 * n, f"api{n}.example.com")
    for n in range(chances):
        at = 1000 * n + 500
        for qtype, port in ((A, 41000 + 2 * n), (AAAA, 41001 + 2 * n)):
            talk.exchange(at, f"web{n}.shop.{NAMESPACE}", qtype, rcode=NXDOMAIN, port=port)
        talk.found(at + 1, f"web{n}.{NAMESPACE}")
        talk.found(at + 2, f"web{n}.shop.{SERVICES}")
    analysis = talk.analyze(tmp_path)
    assert analysis.client_rows[0].search == LIST
    by_base = {n.base_name: n.lookups for n in analysis.name_rows}
    assert by_base["web0.shop"] == by_base["web0"] == 1


@pytest.mark.parametrize("proven", [True, False])
def test_a_list_that_other_clients_had_before_is_the_same_list(*, proven: bool) -> None:
    """Walks that contradict one another, and rare ones, are weighed for every client anew."""
    suffixes = [("team", "svc"), ("svc",), ("corp", "example"), ("example",)]
    random, lists = Random(7), Inference()
    different = set()
    for _ in range(2000):
        walks = [
            (tuple(random.sample(suffixes, random.randint(2, 3))), random.choice((1, 2, 300)))
            for _ in range(random.randint(0, 3))
        ]
        found = lists.infer(walks if proven else [], walks)
        assert found == Inference().infer(walks if proven else [], walks)
        different.add(found)
    assert len(different) > 20
