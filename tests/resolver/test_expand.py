"""What one name sends, without a capture."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcapkit.cli.root import cli
from pcapkit.cluster.conventions import KUBERNETES_SEARCH
from pcapkit.errors import UsageError
from pcapkit.resolver.expand import Expansion, expand, expansion_json, render_expansion

LIST = ("ns.svc.z", "svc.z", "z")


def of(name: str, resolver: str = "glibc", *, ndots: int = 5) -> Expansion:
    return expand(name, search=LIST, ndots=ndots, resolver=resolver)


#: Queries of each type until success, by form of the name: (form, its dots, where it exists as a
#: candidate, {ndots: candidates asked by glibc}, the same by musl, 0 where it fails)
FORMS = [
    ("svc", "svc.ns.svc.z", {5: 1, 2: 1, 1: 1}, {5: 1, 2: 1, 1: 1}),
    ("svc.ns", "svc.ns.svc.z", {5: 2, 2: 2, 1: 3}, {5: 2, 2: 2, 1: 0}),
    ("svc.ns.svc", "svc.ns.svc.z", {5: 3, 3: 3, 2: 4, 1: 4}, {5: 3, 3: 3, 2: 0, 1: 0}),
    ("svc.ns.svc.z", "svc.ns.svc.z", {5: 4, 3: 1, 1: 1}, {5: 4, 3: 1, 1: 1}),
    ("example.com", "example.com", {5: 4, 2: 4, 1: 1}, {5: 4, 2: 4, 1: 1}),
    ("api.example.com", "api.example.com", {5: 4, 3: 4, 2: 1}, {5: 4, 3: 4, 2: 1}),
]


@pytest.mark.parametrize(("name", "found", "glibc", "musl"), FORMS)
def test_forms_of_names(name: str, found: str, glibc: dict[int, int], musl: dict[int, int]) -> None:
    for resolver, expected in (("glibc", glibc), ("go", glibc), ("c-ares", glibc), ("musl", musl)):
        costs = {c.ndots: c for c in of(name, resolver).costs if c.found == found}
        for ndots, asked in expected.items():
            assert costs[ndots].resolves is (asked > 0)
            if asked:
                assert costs[ndots].queries == 2 * asked
                assert costs[ndots].wasted_queries == 2 * (asked - 1)


def test_a_final_dot() -> None:
    done = of("API.Example.com.")
    assert done.candidates == ("api.example.com",)
    assert {(c.queries, c.found) for c in done.costs} == {(2, "api.example.com")}


def test_every_resolver_is_shown() -> None:
    walks = {m.resolver: m for m in of("a.b", ndots=1).models}
    assert walks["glibc"].candidates == ("a.b", "a.b.ns.svc.z", "a.b.svc.z", "a.b.z")
    assert walks["musl"].candidates == ("a.b",)
    assert (walks["musl"].gives_up_s, walks["go"].gives_up_s) == (5, 10)
    assert "unknown" not in walks


@pytest.mark.parametrize(
    ("resolver", "seconds"), [("glibc", 20), ("musl", 5), ("go", 40), ("busybox", 5)]
)
def test_how_long_it_waits_where_no_server_answers(resolver: str, seconds: float) -> None:
    assert of("web", resolver).lost_s == seconds


def test_releases() -> None:
    assert len(of("a", "musl@1.1.12").candidates) == 1
    assert len(of("a", "musl@1.2.4").candidates) == 4
    with pytest.raises(UsageError, match="release"):
        of("a", "glibc@new")


@pytest.mark.parametrize("name", ["api.github.com", "x" * 63 + ".example.com", "a.b.", "q.onion"])
@pytest.mark.parametrize("resolver", ["glibc", "musl", "go", "busybox", "bind-dig"])
def test_text_fits_80_columns(name: str, resolver: str) -> None:
    for suffixes in (KUBERNETES_SEARCH, tuple(f"s{n}.example" for n in range(12)), ()):
        text = render_expansion(expand(name, search=suffixes, ndots=2, resolver=resolver))
        for line in text.splitlines():
            assert len(line) <= 80 or name[:60] in line, line


def test_text_marks_the_ndots_in_force() -> None:
    lines = render_expansion(of("a.b", ndots=7)).splitlines()
    assert [line for line in lines if "<- now" in line][0].split()[0] == "7"
    assert "fails" in render_expansion(of("a.b", "musl", ndots=1))


def test_json_holds_what_the_text_says() -> None:
    done = json.loads(expansion_json(of("a.b")))
    assert done["candidates"][0] == "a.b.ns.svc.z"
    assert {"ndots", "found", "queries", "wasted_queries", "resolves"} == set(done["costs"][0])


def test_a_resolv_conf_brings_its_servers_and_options(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text(
        "nameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch one.example\noptions ndots:2 timeout:1\n"
    )
    args = ["expand", "web", "--resolv-conf", str(conf), "--json", "--resolver", "go"]
    ran = CliRunner().invoke(cli, args)
    assert ran.exit_code == 0, ran.output
    done = json.loads(ran.output)
    assert (done["ndots"], done["search"]) == (2, ["one.example"])
    assert done["lost_s"] == 2 * (2 * 2 * 1)  # two names, two servers, twice a second each


@pytest.mark.parametrize("suffixes", [1, 5, 6, 7, 32])
def test_every_suffix_has_its_column(suffixes: int) -> None:
    """Those that 80 columns have no room for stand in a further table."""
    search = [f"s{n}.example" for n in range(suffixes)]
    text = render_expansion(expand("api.example.com", search=search, ndots=5, resolver="glibc"))
    table = text.partition("only ...")[2].partition("With a final dot")[0]
    heads = re.findall(r"as is|suffix \d+", table)
    assert heads == ["as is", *(f"suffix {n + 1}" for n in range(suffixes))]
    assert max(map(len, text.splitlines())) <= 80
    now = [line.split()[1:-2] for line in table.splitlines() if line.endswith("<- now")]
    costs = [2 * (suffixes + 1), *(2 * (n + 1) for n in range(suffixes))]
    assert [int(cost) for line in now for cost in line] == costs


@pytest.mark.parametrize(
    ("resolver", "search", "ndots", "said"),
    [
        ("glibc", ["a.example"], 5, "the name as is last"),
        ("dnsjava", ["a.example"], 5, "never the name as is"),
        ("glibc", [".", "a.example"], 5, "entry '.' is the name as is"),
        ("c-ares@1.27", ["a.example"], 0, "0 dots < ndots 1: the search list goes first"),
    ],
)
def test_the_order_is_told_as_it_is(
    resolver: str, search: list[str], ndots: int, said: str
) -> None:
    done = expand("web", search=search, ndots=ndots, resolver=resolver)
    text = " ".join(render_expansion(done).split())
    assert said in text
    assert ("as is last" in text) is (done.candidates[-1] == done.name)
