"""Lookups of random traffic, and what is said of them, are those that the rules name."""

from __future__ import annotations

import tempfile

from hypothesis import HealthCheck, given, settings

from pcapkit.analysis.search_lists.survey import survey
from pcapkit.codes import qtype_text
from pcapkit.names.labels import join, split
from pcapkit.names.table import Folded
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.collect import collect
from pcapkit.resolver.models import resolver_model
from tests.twins.describing import OUTCOMES, Lookup, absolute, describe, without_rests
from tests.twins.evidence import search_list, sequences
from tests.twins.grouping import Walk, group
from tests.twins.reading import Read, exchanges_of, read
from tests.twins.replaying import predict
from tests.twins.traffic import Traffic, traffic

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def walks_of(traffic: Traffic, done: Read) -> list[list[Walk]]:
    """Group the exchanges of each client by the twin."""
    search = [split(s) for s in traffic.search]
    after = resolver_model(traffic.model).searches_after_as_is
    return [
        group(mine, search, begin=traffic.begin, after_as_is=after)
        for mine in done.clients.values()
    ]


def lookups_of(traffic: Traffic, done: Read) -> list[list[Lookup]]:
    """Describe the walks of each client by the twin."""
    model, search = resolver_model(traffic.model), [split(s) for s in traffic.search]
    return [
        without_rests(
            [describe(w, search, traffic.ndots, model, traffic.end) for w in walks], traffic.begin
        )
        for walks in walks_of(traffic, done)
    ]


@SETTINGS
@given(traffic=traffic())
def test_grouping(traffic: Traffic) -> None:
    """Every lookup has the questions, and those the first packets and resends, that it should."""
    done = read(traffic)
    expected = {
        frozenset(
            (q[0].packet, len(q) - 1, join(c.name), qtype_text(qtype))
            for c in w.candidates
            for qtype, q in c.questions.items()
        )
        for walks in walks_of(traffic, done)
        for w in walks
    }
    columns = ["query_packet_no", "retries", "qname", "qtype"]
    found = {
        frozenset(mine[columns].itertuples(index=False, name=None))
        for _, mine in done.transactions.groupby("lookup_id")
    }
    assert found == expected, (found - expected, expected - found)


@SETTINGS
@given(traffic=traffic())
def test_describing(traffic: Traffic) -> None:
    """Base name, outcome, whether it is whole, and the class of each query."""
    done = read(traffic)
    expected, classes = {}, {}
    for looks in lookups_of(traffic, done):
        for x, final in zip(looks, absolute(looks, traffic.begin), strict=True):
            first = min(q.sent[0].packet for q in x.questions)
            hit = x.answered_by and join(x.answered_by)
            expected[first] = (
                *(join(x.base), x.ambiguous, OUTCOMES[x.outcome], hit),
                *(x.complete, x.wasted, final),
            )
            for q, waste in zip(x.questions, x.classes, strict=True):
                classes[q.sent[0].packet] = waste
    columns = ["base_name", "ambiguous", "outcome", "answered_by"]
    columns += ["complete", "wasted_queries", "absolute"]
    table = done.lookups.astype(object).where(done.lookups.notna(), None)
    rows = table[["first_packet_no", *columns]].itertuples(index=False, name=None)
    found = {first: tuple(row) for first, *row in rows}
    assert found == expected, set(found.items()) ^ set(expected.items())
    queries = done.transactions
    assert dict(zip(queries["query_packet_no"], queries["waste_class"], strict=True)) == classes


@SETTINGS
@given(traffic=traffic())
def test_replaying(traffic: Traffic) -> None:
    """Queries, wasted ones and assumed ones under every ndots."""
    done = read(traffic)
    model = resolver_model(traffic.model)
    ends: dict[tuple[str, str], int] = {}
    for e in (e for mine in done.clients.values() for e in mine):
        key = join(e.name), qtype_text(e.qtype)
        ends[key] = min(e.outcome, ends.get(key, e.outcome))
    whole = [
        (x, final)
        for looks in lookups_of(traffic, done)
        for x, final in zip(looks, absolute(looks, traffic.begin), strict=True)
        if x.complete
    ]
    with tempfile.TemporaryDirectory() as folder:
        analysis = analyze(traffic.write(folder), options=traffic.options)
    for row in analysis.what_if_rows:
        if row.client_addr is None and row.setting.is_ndots:
            told = [
                predict(x, final, ends, model, traffic.search, traffic.ndots, row.ndots)
                for x, final in whole
            ]
            expected = tuple(map(sum, zip(*told, strict=True)))
            found = row.queries, row.wasted_queries, row.assumed_queries
            assert found == expected, (row.ndots, found, expected, told)


@SETTINGS
@given(traffic=traffic())
def test_evidence(traffic: Traffic) -> None:
    """The search list that each client's traffic shows."""
    with tempfile.TemporaryDirectory() as folder:
        collected = collect([traffic.write(folder)])
    clients = exchanges_of(collected)
    names = Folded(collected.interners.names)
    parts = survey(collected.store, names, {}, has_clock=collected.has_clock)
    surveyed = [client for part in parts for client in part.clients]
    for address, exchanges in clients.items():
        found = [c for c in surveyed if collected.address(c.piece.client) == address]
        if len(found) == 1:  # its settings did not change
            assert found[0].search == search_list(sequences(exchanges))
