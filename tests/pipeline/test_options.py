"""The reading options: one row each, from which command line, parser and JSON come."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from pcapkit.errors import UsageError
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.options import READING_OPTIONS, Given, Options, make_options
from pcapkit.resolver.models import RESOLVERS
from tests import build
from tests.play import SEARCH, SHOP


def test_every_option_has_one_row() -> None:
    keywords = set(Given.__annotations__)
    assert sorted(row.keyword for row in READING_OPTIONS) == sorted(keywords)
    assert {row.field for row in READING_OPTIONS} == {f.name for f in fields(Options)}
    assert len(READING_OPTIONS) == len(keywords)


def test_what_was_set_is_in_the_json_in_the_order_of_the_fields(tmp_path: Path) -> None:
    corefile = build.save(tmp_path, b".:53 {\nkubernetes c.test d.test\n}\n", "Corefile")
    resolv_conf = build.save(tmp_path, b"search a.test\n", "resolv.conf")
    options = make_options(
        time_to="2",
        time_from="1970-01-01T00:00:01Z",
        ports=(5353, 54),
        clients=("10.0.0.1", "10.1.0.0/16"),
        corefile=corefile,
        cluster_domains=("D.test.", "e.test"),
        resolv_conf=(f"10.0.0.1={resolv_conf}", resolv_conf),
        resolver="musl",
        ndots=0,
        search=("a.test",),
    )
    assert list(options.to_json().items()) == [
        ("search", ["a.test"]),
        ("ndots", 0),
        ("resolver", "musl"),
        ("resolv_conf", [f"10.0.0.1/32={resolv_conf}", resolv_conf]),
        ("cluster_domains", ["d.test", "e.test", "c.test"]),
        (
            "corefile",
            {"path": corefile, "zones": ["c.test", "d.test"], "ttl_s": 5} | {"pods": "disabled"},
        ),
        ("clients", ["10.0.0.1/32", "10.1.0.0/16"]),
        ("ports", [54, 5353]),
        ("from", 1_000_000_000),
        ("to", 2_000_000_000),
    ]
    assert Options().to_json() == make_options().to_json() == {}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"ndots": 16}, "--ndots 16: it is between 0 and 15"),
        ({"clients": ("10.0.0.300",)}, "--client '10.0.0.300'"),
        ({"time_from": "x"}, "--from 'x'"),
        ({"time_to": "x"}, "--to 'x'"),
        ({"search": ("a..b",)}, "--search: "),
        ({"cluster_domains": (".",)}, "--cluster-domain: the root"),
        ({"resolver": "x"}, "x"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(typed: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_options(**typed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("resolver", "final_dot"), [("c-ares", False), ("c-ares@1.27", True)])
def test_a_release_of_the_resolver_walks_as_that_one_did(
    tmp_path: Path, resolver: str, final_dot: bool
) -> None:
    """Before 1.28 c-ares took ndots:0 for 1, and searched some full names first."""
    work = SHOP.under(model=resolver)
    options = make_options(resolver=resolver, search=SEARCH, ndots=5)
    analysis = analyze(work.write(tmp_path), options=options)
    (client,) = analysis.client_rows
    assert (client.resolver.model, client.resolver.rules) == ("c-ares", resolver)
    (row,) = (w for w in analysis.what_if_rows if w.client_addr and str(w.setting) == "ndots:0")
    assert row.queries == work.under(ndots=0).queries
    plan = next(p for p in analysis.plans if p.subject is None and p.kind == "best")
    assert [s.final_dot for s in plan.steps if s.name] == [final_dot]
    assert json.loads(analysis.to_json())["options"]["resolver"] == resolver


@pytest.mark.parametrize("model", [m.name for m in RESOLVERS])
def test_every_resolver_may_stand_in_the_json(tmp_path: Path, model: str) -> None:
    analysis = analyze(SHOP.write(tmp_path), options=make_options(resolver=model))
    schema = json.loads((files("pcapkit.report") / "analysis.schema.json").read_text())
    jsonschema.validate(json.loads(analysis.to_json()), schema)
