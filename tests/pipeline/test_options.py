"""The reading options: one row each, from which command line, parser and JSON come."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from pcapkit.errors import UsageError
from pcapkit.pipeline.options import READING_OPTIONS, Options, make_options
from tests import build


def test_every_option_has_one_row() -> None:
    keywords = set(inspect.signature(make_options).parameters)
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
